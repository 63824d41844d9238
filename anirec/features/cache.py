"""Cache of arrays on disk, under keys of the content that they were computed from.

<cache>/embeddings/<fingerprint of the computation>/data.mdb     LMDB; key -> checksum, array, note

A second run with the same inputs computes nothing. Values are bytes, so that reading runs no code. Several processes
may read and write at the same time. Arrays that do not match their checksum are recomputed. LMDB needs a local file
system.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import lmdb
import numpy as np
from numpy.typing import DTypeLike, NDArray

from anirec.data.prepare.space import explained, make_shared, share
from anirec.data.prepare.use import hold
from anirec.errors import UserError
from anirec.notices import warn
from anirec.progress import StatusLine

MOST_BYTES = 1 << 40  # address space of a store; its file is only as large as its content
MOST_READERS = 1024  # processes at once
CHECKSUM = 4  # bytes
DAMAGE = (
    lmdb.CorruptedError,
    lmdb.InvalidError,
    lmdb.MapResizedError,  # a file does not grow beyond MOST_BYTES
    lmdb.PageFullError,
    lmdb.PageNotFoundError,
    lmdb.PanicError,
    lmdb.VersionMismatchError,
)

# Maps positions of inputs to their arrays and a note for each, such as why a picture cannot be read; "" for none.
Compute = Callable[[NDArray[np.int64]], tuple[NDArray[Any], Sequence[str]]]


def key_of(*parts: bytes) -> bytes:
    """Return a key of 16 bytes for content."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()[:16]


class Store:
    """The cached arrays of one computation.

    Args:
        folder: Folder of the database.
        shape: Shape of each array.
        dtype: Dtype of each array.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.folder, self.shape, self.dtype = folder.absolute(), shape, np.dtype(dtype)
        self.note = CHECKSUM + self.dtype.itemsize * int(np.prod(shape))  # offset of the note in a value

    def select(
        self, keys: Sequence[bytes], compute: Compute, *, cost: NDArray[np.int64], batch: int, what: str
    ) -> "Selection":
        """Return the arrays of all `keys`, after computing missing ones in batches, those of the highest cost first."""
        try:
            self.fill(keys, compute, cost, batch, what)
        except DAMAGE as error:
            warn(f"{self.folder} is damaged; its arrays are recomputed ({error})")
            close(self.folder)
            (self.folder / "data.mdb").unlink(missing_ok=True)
            self.fill(keys, compute, cost, batch, what)
        return Selection(self, keys)

    def fill(self, keys: Sequence[bytes], compute: Compute, cost: NDArray[np.int64], batch: int, what: str) -> None:
        missing = np.array(self.missing(keys), np.int64)
        missing = missing[np.argsort(-cost[missing], kind="stable")]
        if not len(missing):
            return
        with StatusLine(what) as waiting:
            for start in range(0, len(missing), batch):
                waiting.step(f"{start:,} of {len(missing):,}")
                inputs = missing[start : start + batch]
                self.write([keys[i] for i in inputs], *compute(inputs))
        if self.missing(keys):
            raise lmdb.CorruptedError("arrays cannot be read after writing them")

    def missing(self, keys: Sequence[bytes]) -> list[int]:
        """Return the positions of keys without a valid value."""
        absent, n_damaged = [], 0
        with opened(self.folder).begin(buffers=True) as found:
            for i, key in enumerate(keys):
                value = found.get(key)
                if value is None or len(value) < self.note or checksum(key, value[CHECKSUM:]) != value[:CHECKSUM]:
                    absent.append(i)
                    n_damaged += value is not None
        if n_damaged:
            warn(f"{n_damaged} arrays in {self.folder} are damaged; they are recomputed")
        return absent

    def write(self, keys: Sequence[bytes], arrays: NDArray[Any], notes: Sequence[str]) -> None:
        try:
            with opened(self.folder).begin(write=True) as stored:
                for key, array, note in zip(keys, arrays, notes, strict=True):
                    value = array.astype(self.dtype, copy=False).tobytes() + note.encode()
                    stored.put(key, checksum(key, value) + value)
        except lmdb.ReadonlyError as error:
            raise UserError(
                f"Vectors are missing in {self.folder}, which belongs to another user. Set ANIREC_CACHE to a folder "
                "that you can write to."
            ) from error


class Selection:
    """The arrays of n inputs in a store.

    Args:
        store: The store.
        keys: Keys of the inputs, (n,).
    """

    def __init__(self, store: Store, keys: Sequence[bytes]) -> None:
        self.store, self.keys = store, keys

    def take(self, inputs: NDArray[np.int64]) -> NDArray[Any]:
        """Read the arrays of k inputs, given by position, (k, …)."""
        shape, dtype = self.store.shape, self.store.dtype
        taken = np.empty((len(inputs), *shape), dtype)
        with opened(self.store.folder).begin(buffers=True) as found:
            for row, i in enumerate(inputs):
                taken[row] = np.frombuffer(found.get(self.keys[i], b"")[CHECKSUM : self.store.note], dtype).reshape(
                    shape
                )
        return taken

    def notes(self) -> list[str]:
        """Return the notes of all inputs, (n,)."""
        with opened(self.store.folder).begin(buffers=True) as found:
            return [bytes(found.get(key, b"")[self.store.note :]).decode() for key in self.keys]


def checksum(key: bytes, value: bytes | memoryview) -> bytes:
    return crc32(value, crc32(key)).to_bytes(CHECKSUM, "little")


OPEN: dict[Path, lmdb.Environment] = {}  # a process may open each file only once


def opened(folder: Path) -> lmdb.Environment:
    """Open the database in a folder, or create it.

    Raises:
        lmdb.Error: The database is damaged.
    """
    if folder not in OPEN:
        cache, file = folder.parent.parent, folder / "data.mdb"
        is_new = not file.exists()
        # A store of another user can be read, but no lock can be taken in it.
        is_ours = is_new or os.access(file, os.W_OK)
        with explained(cache):
            make_shared(folder.parent, cache)
            make_shared(folder, cache)
            hold(folder)
            OPEN[folder] = lmdb.open(
                str(folder), map_size=MOST_BYTES, max_readers=MOST_READERS, readonly=not is_ours, lock=is_ours
            )
        if is_new:
            share(folder, cache)
        # Reading pages after the end of a truncated file would kill the process.
        n_bytes = (OPEN[folder].info()["last_pgno"] + 1) * OPEN[folder].stat()["psize"]
        if (folder / "data.mdb").stat().st_size < n_bytes:
            close(folder)
            raise lmdb.CorruptedError(f"fewer than {n_bytes} bytes")
    return OPEN[folder]


def close(folder: Path) -> None:
    if folder in OPEN:
        OPEN.pop(folder).close()
