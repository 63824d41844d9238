"""Pictures that lie in a dump's folder: which there are, and whether a path that a file names stays inside."""

import hashlib
from pathlib import Path


def is_inside(folder: Path, name: str) -> bool:
    """Whether a path stays inside a folder: neither absolute, nor up, nor through a link that leads out.

    >>> is_inside(Path("posters"), "images/1.jpg"), is_inside(Path("posters"), "../secret.jpg")
    (True, False)
    """
    try:
        return (folder / name).resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError):  # links in a circle; a zero byte
        return False


def names_in(folder: Path) -> list[str]:
    """The names of the files in a folder, sorted; none where there is no folder."""
    return sorted(path.name for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def listing(names: list[str]) -> str:
    """A short fingerprint of which pictures there are; their contents are fingerprinted where they are read."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
