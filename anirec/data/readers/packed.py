"""Opening of plain and of compressed files: what ends in .gz or .zst is unpacked while it is read."""

import io
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from anirec.errors import UserError

MAGIC = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}  # the first bytes
PACKED = {".gz": "gzip", ".zst": "zstd"}  # names of the formats in Arrow


def unpacked_suffix(path: Path) -> str:
    """Return the suffix of the content, in lower case.

    >>> unpacked_suffix(Path("ratings.csv.gz")), unpacked_suffix(Path("Ratings.TSV"))
    ('.csv', '.tsv')
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def open_binary(path: Path) -> BinaryIO:
    """Open a file for reading; the caller closes it.

    Raises:
        UserError: The name is that of a compressed file, the content is not.
    """
    packed = PACKED.get(path.suffix.lower())
    if packed is None:
        return path.open("rb")
    with path.open("rb") as file:
        start = file.read(4)
    if not start.startswith(MAGIC[packed]):
        raise UserError(
            f"{path}: the name ends in {path.suffix}, but the content is not compressed with {packed}. Rename the "
            "file, or compress it."
        )
    return io.BufferedReader(PackedFile(path, packed))


class PackedFile(io.RawIOBase):
    """The content of a compressed file, as a stream of bytes.

    Args:
        path: The file.
        packed: Name of the format in Arrow.

    Raises:
        UserError: In reading: the content is damaged or incomplete.
    """

    def __init__(self, path: Path, packed: str) -> None:
        import pyarrow as pa

        self.path, self.stream = path, pa.input_stream(str(path), compression=packed)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            return int(self.stream.readinto(buffer))
        except OSError as error:
            raise UserError(
                f"{self.path}: the compressed content is damaged or incomplete ({error}). Replace the file by a "
                "complete copy."
            ) from None

    def close(self) -> None:
        self.stream.close()
        super().close()


def open_text(path: Path, newline: str | None = None) -> TextIO:
    """Open a UTF-8 file for reading; bytes that are not UTF-8 become the replacement character."""
    return io.TextIOWrapper(open_binary(path), encoding="utf-8-sig", errors="replace", newline=newline)
