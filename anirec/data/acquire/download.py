"""Downloads of published dumps: from Kaggle by kagglehub, from Zenodo and other addresses by pooch.

    https://www.kaggle.com/datasets/alamson/safebooru     kagglehub, with its credentials and its cache
    https://zenodo.org/records/13835115 (Database.zip)    a record, or some of its files; also https://doi.org/10.5281/…
    https://example.org/ratings.csv#sha256=…              a file, with or without checksum

Files are written to a folder beside the dataset's, unpacked there, and moved when everything is complete.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from filelock import FileLock, Timeout

from anirec.atomic import write_text
from anirec.data.acquire.unpack import unpack
from anirec.data.sources.base import Need, is_inside
from anirec.errors import UserError
from anirec.memory import format_size
from anirec.progress import StatusLine

INSTALL = "pip install 'anirec[get]'"
KAGGLE = re.compile(r"https://www\.kaggle\.com/datasets/([\w-]+/[\w-]+)/?$")
RECORD = re.compile(r"(https?://[^/\s]+)/records?/(\d+)/?(?: \((.+)\))?$")
DOI = re.compile(r"(?:https://doi\.org/|doi:)10\.5281/zenodo\.(\d+)(?: \((.+)\))?$")
FILE = re.compile(r"(https?://[^\s#?]+/([^/\s#?]+)(?:\?[^\s#]*)?)(?:#(md5|sha1|sha256|sha512)=([0-9a-fA-F]+))?$")
LARGEST = 256 << 30  # bytes of a file whose size the host does not declare
LARGEST_RECORD = 16 << 20  # bytes of the description of a record
N_TRIES = 5
TIMEOUT = 60  # seconds without an answer
CHUNK = 1 << 20
NOTE = "SOURCE.md"
Step = Callable[[str], None]


@dataclass
class Fetched:
    """Files that a host has given.

    Attributes:
        folder: The folder of the files.
        address: Address for people.
        licence: Licence, as the host names it.
        title: Title of the publication; empty if unknown.
        checksums: By name of a file, `md5:…` or the like; only of checked files.
    """

    folder: Path
    address: str
    licence: str = "not stated by the host"
    title: str = ""
    checksums: dict[str, str] = field(default_factory=dict)


def can_download(origin: str) -> bool:
    """Return whether an origin is an address that can be downloaded, not a description."""
    return any(form.match(origin) for form in (KAGGLE, RECORD, DOI, FILE))


def download(origin: str, folder: Path, needs: Sequence[Need], *, force: bool) -> list[str]:
    """Download a dump into its folder.

    Args:
        origin: Address; see the module's first lines.
        folder: Folder of the dataset.
        needs: Files that the dataset reads.
        force: Whether to replace files that are already there.

    Returns:
        Names of files that were there and were kept.

    Raises:
        UserError: The address cannot be downloaded, a package or credentials are missing, a checksum differs, an
            archive is refused, or the download lacks files. The dataset's folder is unchanged.
    """
    if not can_download(origin):
        raise UserError(f"{origin}: expected the address of a Kaggle dataset, of a Zenodo record, or of a file.")
    beside = folder.parent / f".{folder.name}.download-{sha256(origin.encode()).hexdigest()[:8]}"
    beside.mkdir(parents=True, exist_ok=True)
    with StatusLine(f"get {folder.name}") as status, only_one(beside), removed_if_empty(beside):
        fetched = fetch(origin, beside, status.step)
        try:
            unpacked = beside / "unpacked"
            shutil.rmtree(unpacked, ignore_errors=True)
            unpack_all(fetched.folder, unpacked, status.step)
            root = find_root(unpacked, needs)
            status.step("moving the files")
            write_text(root / NOTE, describe(fetched))
            kept = move(root, folder, force=force)
        except UserError:
            shutil.rmtree(beside)  # the same files would be refused again
            raise
        except OSError as error:
            raise UserError(f"{folder}: cannot be written: {error.strerror}. The same command continues.") from None
        shutil.rmtree(beside)
    return kept


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the lock of a download.

    Raises:
        UserError: Another process downloads the same dataset.
    """
    path = folder.with_name(f"{folder.name}.lock")
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise UserError(f"{folder}: another process downloads this dataset.") from None
    try:
        yield
    finally:
        lock.release()
        path.unlink(missing_ok=True)


@contextmanager
def removed_if_empty(folder: Path) -> Iterator[None]:
    """Remove a folder after the block if nothing was written to it."""
    try:
        yield
    finally:
        with suppress(OSError):
            folder.rmdir()


def why(error: Exception) -> str:
    """Return why a host did not give a file, in a few words."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return f"no answer in {TIMEOUT} s"
    if isinstance(error, requests.ConnectionError) and error.request is not None:
        return f"no connection to {urlsplit(str(error.request.url)).hostname}"
    return " ".join(str(error).split())[:200]


def fetch(origin: str, beside: Path, step: Step) -> Fetched:
    """Download the files of an origin, unpacked or not."""
    if found := KAGGLE.match(origin):
        return fetch_kaggle(found[1], origin)
    if found := DOI.match(origin):
        return fetch_record("https://zenodo.org", found[1], found[2], beside, step)
    if found := RECORD.match(origin):
        return fetch_record(found[1], found[2], found[3], beside, step)
    address, name, algorithm, digest = FILE.findall(origin)[0]
    checksum = f"{algorithm}:{digest.lower()}" if algorithm else None
    name = file_name(unquote(name))
    retrieve(address, beside / "files", name, checksum, size=None, step=step)
    return Fetched(beside / "files", address, checksums={name: checksum} if checksum else {})


def fetch_kaggle(handle: str, address: str) -> Fetched:
    """Return the files of a dataset in the cache of kagglehub, which downloads what it lacks, and resumes.

    Raises:
        UserError: kagglehub is not installed, or Kaggle refuses; the message says what to do.
    """
    try:
        import kagglehub
        from kagglehub import exceptions
        from requests import RequestException
    except ImportError:
        raise UserError(f"Downloads from Kaggle need kagglehub: {INSTALL}\nOr download by hand: {address}") from None
    errors: tuple[type[Exception], ...] = (RequestException, ValueError, OSError, *kaggle_errors(exceptions))
    try:
        folder = Path(kagglehub.dataset_download(handle))
    except errors as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        is_refused = status in (401, 403) or isinstance(
            error, exceptions.CredentialError | exceptions.UnauthenticatedError
        )
        help_ = KAGGLE_HELP.format(address=address) if is_refused else f"Or download by hand: {address}"
        raise UserError(f"Kaggle: {why(error)}\n{help_}") from None
    return Fetched(folder, address, licence=f"as stated on {address}")


def kaggle_errors(exceptions: Any) -> tuple[type[Exception], ...]:
    """Return the errors of kagglehub that are no errors of requests."""
    return (
        exceptions.BackendError,
        exceptions.CredentialError,
        exceptions.DataCorruptionError,
        exceptions.NotFoundError,
        exceptions.UnauthenticatedError,
    )


KAGGLE_HELP = """Kaggle requires an account for this dataset:
1. Create a token at https://www.kaggle.com/settings/api (Generate New Token).
2. Save it as ~/.kaggle/access_token, or export KAGGLE_API_TOKEN=…
3. Accept the terms of the dataset, if it has any: {address}
4. Run the same command again."""


def fetch_record(host: str, number: str, only: str | None, beside: Path, step: Step) -> Fetched:
    """Download the files of a record of Zenodo, with the checksums that it states.

    Args:
        host: Address of Zenodo.
        number: Number of the record, the last part of its DOI.
        only: Names of the files, separated by commas; None: all files.
        beside: Folder of the download.
        step: Called with a description of what is being done.
    """
    step("reading the record")
    record = read_json(f"{host}/api/records/{number}")
    try:
        files = {file_name(one["key"]): (str(one["checksum"]), int(one["size"])) for one in record["files"]}
        about = record.get("metadata") or {}
        licence = (about.get("license") or {}).get("id") or "not stated by the host"
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{host}/records/{number}: unexpected answer ({type(error).__name__}: {error}).") from None
    wanted = [name.strip() for name in only.split(",")] if only else list(files)
    if absent := [name for name in wanted if name not in files]:
        raise UserError(f"{host}/records/{number} has no {', '.join(absent)}; it has {', '.join(files)}.")
    for name in wanted:
        checksum, size = files[name]
        address = f"{host}/api/records/{number}/files/{quote(name)}/content"
        retrieve(address, beside / "files", name, checksum, size=size, step=step)
    checksums = {name: files[name][0] for name in wanted}
    return Fetched(beside / "files", f"{host}/records/{number}", str(licence), str(about.get("title") or ""), checksums)


def read_json(address: str) -> Any:
    """Return the JSON at an address, of limited size.

    Raises:
        UserError: There is none.
    """
    import requests

    try:
        with requests.get(address, stream=True, timeout=TIMEOUT, headers={"Accept": "application/json"}) as answer:
            answer.raise_for_status()
            text = b""
            for chunk in answer.iter_content(CHUNK):
                text += chunk
                if len(text) > LARGEST_RECORD:
                    raise ValueError(f"longer than {format_size(LARGEST_RECORD)}")
        return json.loads(text)
    except (requests.RequestException, ValueError, RecursionError) as error:
        raise UserError(f"{address}: cannot be read: {why(error)}") from None


def retrieve(address: str, folder: Path, name: str, checksum: str | None, *, size: int | None, step: Step) -> None:
    """Download a file with pooch, unless it is there with the right checksum.

    Raises:
        UserError: pooch is not installed, the host does not answer, or the checksum differs.
    """
    try:
        import pooch
        from requests import RequestException
    except ImportError:
        raise UserError(f"Downloads need pooch: {INSTALL}\nOr download by hand: {address}") from None
    pooch.get_logger().setLevel("WARNING")
    part = folder / f".{name}.part"
    if checksum is None:
        (folder / name).unlink(missing_ok=True)  # it may be another version
    downloader = ResumingDownloader(part, name, size=size, is_checked=checksum is not None, step=step)
    try:
        pooch.retrieve(address, known_hash=checksum, fname=name, path=folder, downloader=downloader)
    except RequestException as error:
        raise UserError(f"{address}: {why(error)}\nThe same command continues the download.") from None
    except ValueError as error:  # the checksum differs
        raise UserError(f"{name}: {' '.join(str(error).split())[:300]}") from None
    except OSError as error:
        raise UserError(f"{folder / name}: cannot be written: {error.strerror or error}") from None
    finally:
        if (folder / name).is_file():
            part.unlink(missing_ok=True)


class ResumingDownloader:
    """Downloader for pooch, which has none that resumes: what is there of a file is kept for the next try.

    Args:
        part: Path of the unfinished file.
        name: Name of the file, for messages.
        size: Declared size in bytes; None: unknown.
        is_checked: Whether a checksum will be compared; a part is only resumed if so.
        step: Called with the progress.
    """

    def __init__(self, part: Path, name: str, *, size: int | None, is_checked: bool, step: Step) -> None:
        self.part, self.name, self.size, self.is_checked, self.step = part, name, size, is_checked, step

    def __call__(self, url: str, output_file: str, pooch: Any, check_only: bool = False) -> None:
        """Download a file; pooch calls this, then compares the checksum."""
        import requests

        if not self.is_checked:
            self.part.unlink(missing_ok=True)
        for number in range(1, N_TRIES + 1):
            try:
                self.read(url)
                break
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
                if number == N_TRIES:
                    raise
        self.part.replace(output_file)

    def read(self, url: str) -> None:
        """Read the file, or what is lacking of it, to the end."""
        import requests

        done = self.part.stat().st_size if self.part.is_file() else 0
        if self.size is not None and done >= self.size:
            if done == self.size:
                return
            self.part.unlink()
            done = 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={done}-"} if done else {})
        with requests.get(url, stream=True, timeout=TIMEOUT, headers=headers) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                self.part.unlink()
                raise requests.ConnectionError("the host cannot resume this file")
            answer.raise_for_status()
            resumed = answer.headers.get("Content-Range", "").startswith(f"bytes {done}-")
            done = done if answer.status_code == requests.codes.partial_content and resumed else 0
            length = answer.headers.get("Content-Length", "")
            size = self.size if self.size is not None else done + int(length) if length.isdigit() else None
            most = LARGEST if size is None else size
            free = shutil.disk_usage(self.part.parent).free
            if size is not None and size - done > free:
                raise UserError(f"{self.name}: {format_size(size)}, but only {format_size(free)} are free.")
            with self.part.open("ab" if done else "wb") as file:
                for chunk in answer.iter_content(CHUNK):
                    done += len(chunk)
                    if done > most:
                        raise UserError(f"{self.name}: larger than the {format_size(most)} that the host declares.")
                    file.write(chunk)
                    self.step(f"{self.name}: {format_size(done)}" + (f" of {format_size(size)}" if size else ""))
        if size is not None and done < size:
            raise requests.ConnectionError(f"{self.name}: the host sent {done:,} of {size:,} bytes")


def file_name(name: Any) -> str:
    """Return a name that a host gives to a file.

    Raises:
        UserError: It is not a plain file name.
    """
    if isinstance(name, str) and 0 < len(name) < 200 and name.isprintable() and not re.search(r"^\.|[/\\:]", name):
        return name
    raise UserError(f"{str(name)[:80]!r}: refused, since it is not the name of a file.")


def unpack_all(folder: Path, target: Path, step: Step) -> None:
    """Unpack zip archives, and link or copy other files to `target`; links and files outside are refused."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not is_inside(folder, str(path.relative_to(folder))):
            raise UserError(f"{path.name}: refused, since it is a link.")
        if path.is_dir() or path.name.startswith("."):
            continue
        place = target / path.relative_to(folder)
        if path.suffix == ".zip":
            unpack(path, place.parent, step)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, place)
        except OSError:
            step(f"copying {path.name}")
            shutil.copyfile(path, place)


def find_root(folder: Path, needs: Sequence[Need]) -> Path:
    """Return the folder in a download that has the dataset's files.

    Raises:
        UserError: No folder has them.
    """
    folders = [folder, *sorted(path for path in folder.rglob("*") if path.is_dir())]
    root = max(folders, key=lambda one: sum(bool(need.find(one)) for need in needs))  # the outermost of equal ones
    found = [bool(need.find(root)) for need in needs]
    absent = [str(need) for need, is_there in zip(needs, found, strict=True) if not (is_there or need.optional)]
    if absent or not any(found):
        names = ", ".join(sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())[:10])
        raise UserError(
            f"The download lacks {'; '.join(absent or map(str, needs))}. It has: {names[:400] or 'nothing'}."
        )
    return root


def move(root: Path, folder: Path, *, force: bool) -> list[str]:
    """Move the files to the dataset's folder, and return the names of those that were there and were kept."""
    if not folder.exists():
        root.rename(folder)
        return []
    kept = []
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        name = path.relative_to(root)
        if (folder / name).exists() and not force and name.name != NOTE:
            kept.append(str(name))
            continue
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        path.replace(folder / name)
    return kept


def describe(fetched: Fetched) -> str:
    """Return the text of SOURCE.md."""
    facts = {
        "Title": fetched.title,
        "Address": fetched.address,
        "Licence": fetched.licence,
        "Fetched": f"{datetime.now(UTC):%Y-%m-%d} by anirec {version('anirec')}",
    }
    lines = [f"- {name}: {one_line(text)}" for name, text in facts.items() if text]
    files = [f"- {name}, {checksum}" for name, checksum in fetched.checksums.items()]
    host = urlsplit(fetched.address).hostname
    checked = ["", "Files whose checksums were compared:", "", *files] if files else []
    return "\n".join([f"# Files from {host}", "", *lines, *checked, ""])


def one_line(text: str) -> str:
    """Return a host's text on one line, without control characters, and not too long."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:200].strip()
