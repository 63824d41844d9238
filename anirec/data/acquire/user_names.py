"""Names of the users whose lists a crawl fetches, and the salted hashes that replace them in its pages and tables."""

import hmac
import secrets
from pathlib import Path
from typing import Any

from anirec.atomic import write_text
from anirec.errors import UserError

SALT = ".crawl-salt"
LONGEST_NAMES = 10_000_000  # bytes of a file of user names


def read_users(kind: Any, users: Path | None, data: Path, *, keep_names: bool) -> list[tuple[str, str]]:
    """Return the names of users, each with the name that it gets in the tables.

    Raises:
        UserError: The file is missing where it is needed, given where it is not, or cannot be read.
    """
    if not kind.needs_users:
        if users or keep_names:
            raise UserError(f"{kind.name} has no users: leave out --users and --keep-names.")
        return []
    if users is None:
        raise UserError(f"{kind.name} needs the names of users: --users FILE, one name per line.")
    try:
        if users.stat().st_size > LONGEST_NAMES:
            raise UserError(f"--users {users}: larger than {LONGEST_NAMES:,} bytes; expected one name per line.")
        lines = users.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--users {users}: cannot be read: {error}") from None
    names = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if wrong := [name for name in names if len(name) > 64 or not name.isprintable() or set(name) & set("/@")]:
        raise UserError(f"--users {users}: {wrong[0][:64]!r} is not the name of a user.")
    if not names:
        raise UserError(f"--users {users}: holds no name.")
    salt = b"" if keep_names else read_salt(data)
    return [(name, name if keep_names else hash_name(kind.name, name, salt)) for name in names]


def hash_name(site: str, name: str, salt: bytes) -> str:
    """Return a name that replaces a user's: the same in every crawl of this site with this salt."""
    return "u" + hmac.new(salt, f"{site}:{name.casefold()}".encode(), "sha256").hexdigest()[:20]


def read_salt(data: Path) -> bytes:
    """Return the salt of user names, which is created if there is none. Whoever has it can test names, so it lies
    outside the folders that one would share."""
    path = data / SALT
    if not path.is_file():
        data.mkdir(parents=True, exist_ok=True)
        write_text(path, secrets.token_hex(32))
        path.chmod(0o600)
    return bytes.fromhex(path.read_text(encoding="utf-8"))
