"""Fingerprints of data: hashes of content that are the same on every machine, wherever the files are.

Hashing 2 GB takes seconds, so the hash of a file's content is cached under its path, size and modification time.
"""

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from anirec.atomic import write_text
from anirec.data.prepare.space import make_shared, share
from anirec.data.sources.base import Source

FORMAT = 2  # increased when `prepare` writes different tables for the same source


def fingerprint(source: Source, cache: Path) -> str:
    """Return the SHA-256 (hex) of the contents of a source's files, its class, version, arguments and options.

    Raises:
        UserError: Files are missing.
    """
    own = source.identity()
    identity = {
        "format": FORMAT,
        "source": own["name"],
        "version": own["version"],
        "options": own["options"],
        "files": [(path.name, content_hash(path, cache)) for path in source.files()],
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def content_hash(path: Path, cache: Path) -> str:
    """Return the SHA-256 (hex) of a file's content."""
    status = path.stat()
    key = f"{path.absolute()}|{status.st_size}|{status.st_mtime_ns}|{status.st_ctime_ns}|{status.st_ino}"
    remembered = cache / "contents" / hashlib.sha256(key.encode()).hexdigest()[:32]
    if remembered.is_file():
        return remembered.read_text(encoding="utf-8")
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    with suppress(OSError):  # in a cache that cannot be written to, or is full, it is hashed again each time
        make_shared(remembered.parent, cache)
        write_text(remembered, content)
        share(remembered, cache)
    return content


def digest(*parts: Any) -> str:
    """Return a short fingerprint of values that JSON can represent."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]
