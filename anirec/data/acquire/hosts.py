"""Hosts of dumps: Kaggle by kagglehub, Zenodo's records and plain files by pooch.

https://www.kaggle.com/datasets/alamson/safebooru     kagglehub, with its credentials and its cache
https://zenodo.org/records/13835115 (Database.zip)    a record, or some of its files; also https://doi.org/10.5281/…
https://example.org/ratings.csv#sha256=…              a file, with or without checksum
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from anirec.data.acquire.retrieval import INSTALL, Step, file_name, read_json, retrieve, why
from anirec.errors import UserError

KAGGLE = re.compile(r"https://www\.kaggle\.com/datasets/([\w-]+/[\w-]+)/?$")
RECORD = re.compile(r"(https?://[^/\s]+)/records?/(\d+)/?(?: \((.+)\))?$")
DOI = re.compile(r"(?:https://doi\.org/|doi:)10\.5281/zenodo\.(\d+)(?: \((.+)\))?$")
FILE = re.compile(
    r"(https?://(?!www\.kaggle\.com/)[^\s#?]+/([^/\s#?]+)(?:\?[^\s#]*)?)(?:#(md5|sha1|sha256|sha512)=([0-9a-fA-F]+))?$"
)
KAGGLE_HELP = """Kaggle requires an account for this dataset:
1. Create a token at https://www.kaggle.com/settings/api (Generate New Token).
2. Save it as ~/.kaggle/access_token, or export KAGGLE_API_TOKEN=…
3. Accept the terms of the dataset, if it has any: {address}
4. Run the same command again."""


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


def check_address(origin: str) -> None:
    """Raise a UserError if an origin is no address that can be downloaded."""
    if not can_download(origin):
        raise UserError(f"{origin}: expected the address of a Kaggle dataset, of a Zenodo record, or of a file.")


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
