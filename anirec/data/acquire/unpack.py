"""Safe unpacking of zip archives of strangers: sizes are bounded, and nothing is written outside the folder."""

import re
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from zipfile import BadZipFile, ZipFile, ZipInfo

from anirec.errors import UserError
from anirec.memory import format_size

MOST_RATIO = 200  # unpacked over packed bytes; text in dumps reaches 20
MOST_FILES = 1_000_000
CHUNK = 1 << 20
OUTSIDE = re.compile(r"^[/\\]|^[A-Za-z]:|(^|[/\\])\.\.([/\\]|$)|\0")


def unpack(archive: Path, folder: Path, step: Callable[[str], None]) -> None:
    """Unpack a zip archive into a folder.

    Args:
        archive: The archive.
        folder: The folder, which is created.
        step: Called with a description of what is being done.

    Raises:
        UserError: The archive is damaged, has a path to outside the folder or a link, or would be too large.
    """
    try:
        with ZipFile(archive) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            check_members(archive, members, shutil.disk_usage(archive.parent).free)
            total, done = sum(member.file_size for member in members), 0
            for member in members:
                target = folder / member.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                written = 0
                with opened.open(member) as packed, target.open("wb") as file:
                    while chunk := packed.read(CHUNK):
                        written += len(chunk)
                        if written > member.file_size:
                            raise BadZipFile(f"{member.filename} is larger than declared")
                        file.write(chunk)
                        step(f"unpacking: {format_size(done + written)} of {format_size(total)}")
                done += written
    except (BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:  # also: encrypted
        raise UserError(f"{archive.name}: cannot be unpacked: {error}") from None


def check_members(archive: Path, members: list[ZipInfo], free: int) -> None:
    """Check the declared names and sizes of an archive.

    Raises:
        UserError: A name leads outside the folder, a member is a link, or the sizes are too large.
    """
    for member in members:
        if OUTSIDE.search(member.filename):
            raise UserError(f"{archive.name}: refused, since {member.filename[:80]!r} leads outside the folder.")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise UserError(f"{archive.name}: refused, since {member.filename[:80]!r} is not a regular file.")
    size, packed = sum(member.file_size for member in members), archive.stat().st_size
    if size > MOST_RATIO * packed or len(members) > MOST_FILES:
        raise UserError(
            f"{archive.name}: refused, since {format_size(packed)} would unpack to {len(members):,} files of "
            f"{format_size(size)}."
        )
    if size > free:
        raise UserError(f"{archive.name}: unpacks to {format_size(size)}, but only {format_size(free)} are free.")
