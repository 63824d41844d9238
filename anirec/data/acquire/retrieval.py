"""Files from addresses by pooch, with checksums, progress, limits of size, and resumption.

pooch compares checksums and keeps whole files; it cannot resume, so it gets a downloader that can.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from anirec.errors import UserError
from anirec.memory import format_size

INSTALL = "pip install 'anirec[get]'"
LARGEST = 256 << 30  # bytes of a file whose size the host does not declare
LARGEST_RECORD = 16 << 20  # bytes of the description of a record
N_TRIES = 5
TIMEOUT = 60  # seconds without an answer
CHUNK = 1 << 20
Step = Callable[[str], None]


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


def file_name(name: Any) -> str:
    """Return a name that a host gives to a file.

    Raises:
        UserError: It is not a plain file name.
    """
    if isinstance(name, str) and 0 < len(name) < 200 and name.isprintable() and not re.search(r"^\.|[/\\:]", name):
        return name
    raise UserError(f"{str(name)[:80]!r}: refused, since it is not the name of a file.")
