"""Safe reading of untrusted pictures: few formats, limited sizes, and a reason for each picture that is rejected."""

import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from anirec.data.prepare.fingerprint import content_hash
from anirec.features.cache import Compute, Selection, Store, key_of
from anirec.features.preprocessing import Preprocessing

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
MOST_BYTES = 100 << 20
MOST_PIXELS = 25_000_000
MOST_SLENDER = 10  # longer side over shorter side
RULES = (1, FORMATS, MOST_BYTES, MOST_PIXELS, MOST_SLENDER)  # increase the first if the same bytes give other pixels


class UnreadableImageError(Exception):
    """A picture cannot be read; the message is the reason, in a few words."""


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Check that a file exists and is not too large, and convert errors of the block that reads it.

    Raises:
        UnreadableImageError: The file does not exist, is too large, or cannot be read.
    """
    try:
        if not path.is_file():
            raise UnreadableImageError("no such file")
        if path.stat().st_size > MOST_BYTES:
            raise UnreadableImageError(f"{path.stat().st_size >> 20} MB, more than {MOST_BYTES >> 20}")
        yield
    except OSError as error:
        raise UnreadableImageError(error.strerror or str(error)) from None


def content_key(path: Path, cache: Path) -> bytes:
    """Return a key of 16 bytes for the content of a file, which is read only if the file is new or has changed.

    Raises:
        UnreadableImageError: The file does not exist, is too large, or cannot be read.
    """
    with readable(path):
        return bytes.fromhex(content_hash(path, cache))[:16]


def read_image(path: Path, *, at_least: tuple[int, int] | None = None) -> "Image":
    """Read a picture as RGB, with transparent parts in white; of an animation, the first frame.

    Args:
        path: Path of the picture.
        at_least: Sufficient width and height: a larger JPEG may be decoded at 1/2, 1/4 or 1/8 of its size.

    Raises:
        UnreadableImageError: The picture has another format, is damaged, has too many pixels, or is too slender.
    """
    from PIL import Image

    with readable(path):
        data = path.read_bytes()
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            check_size(*image.size)
            if at_least:
                image.draft("RGB", at_least)
            return on_white(image)
    except (UnreadableImageError, MemoryError):  # the latter is no property of the picture and must not be cached
        raise
    except Image.DecompressionBombError:
        raise UnreadableImageError(f"more than {MOST_PIXELS:,} pixels") from None
    except Image.UnidentifiedImageError:
        raise UnreadableImageError(f"not a picture ({', '.join(FORMATS)})") from None
    except Exception as error:  # decoders raise many kinds of errors for damaged files
        raise UnreadableImageError(f"damaged: {error}") from None


def check_size(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise UnreadableImageError(f"{width} x {height}, more than {MOST_PIXELS:,} pixels")
    if max(width, height) > MOST_SLENDER * min(width, height):
        raise UnreadableImageError(f"{width} x {height}, too slender")


def on_white(image: "Image") -> "Image":
    from PIL import Image

    if not image.has_transparency_data:
        return image.convert("RGB")
    coloured = image.convert("RGBA")
    white = Image.new("RGBA", coloured.size, "white")
    return Image.alpha_composite(white, coloured).convert("RGB")


def side_by_side(images: Sequence["Image"]) -> "Image":
    """Paste pictures side by side on black, aligned at the top, and shrink them if there were too many pixels."""
    from PIL import Image

    if len(images) == 1:
        return images[0]
    area = sum(image.width for image in images) * max(image.height for image in images)
    if area > MOST_PIXELS:
        scale = (MOST_PIXELS / area) ** 0.5
        images = [i.resize((max(1, int(i.width * scale)), max(1, int(i.height * scale)))) for i in images]
    row = Image.new("RGB", (sum(image.width for image in images), max(image.height for image in images)))
    left = 0
    for image in images:
        row.paste(image, (left, 0))
        left += image.width
    return row


NOTHING = "*"  # the first line of the note of an input without any readable picture


class Gallery:
    """Inputs of an image encoder, each of one or more pictures side by side.

    `problems` sets `absent`, (n,) bool: the inputs without any readable picture.

    Args:
        inputs: Paths of the pictures of each input, (n,).
        preprocessing: The preprocessing of the encoder.
        cache: Folder with the hashes of files.
    """

    def __init__(self, inputs: Sequence[tuple[str, ...]], preprocessing: Preprocessing, cache: Path) -> None:
        self.inputs, self.preprocessing, self.cache = inputs, preprocessing, cache
        self.paths = sorted({path for paths in inputs for path in paths})
        self.keys, self.missing = {}, {}
        for path, key in zip(self.paths, map_in_threads(self.content_key_of, self.paths), strict=True):
            if isinstance(key, bytes):
                self.keys[path] = key
            else:
                self.missing[path] = str(key)

    def content_key_of(self, path: str) -> bytes | UnreadableImageError:
        try:
            return content_key(Path(path), self.cache)
        except UnreadableImageError as error:
            return error

    def select(self, store: Store, compute: Compute, *, batch: int, what: str) -> Selection:
        """Return the arrays of all inputs from `store`, after computing missing ones."""
        keys = [key_of(*(self.keys.get(path, b"") for path in paths)) for paths in self.inputs]
        cost = np.zeros(len(keys), np.int64)
        return store.select(keys, compute, cost=cost, batch=batch, what=what)

    def pixels(self, inputs: NDArray[np.int64]) -> tuple[NDArray[np.uint8], list[str]]:
        """Return the pixels of k inputs, (k, 3, H, W), zeros where no picture can be read, and a note for each.

        A note has a line `position reason` for each picture that cannot be read, after `*` if none can be read.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of PIL, whose limit on pixels is higher than ours
            seen = list(map_in_threads(self.picture, [self.inputs[i] for i in inputs]))
        return np.stack([pixels for pixels, _ in seen]), [note for _, note in seen]

    def picture(self, paths: tuple[str, ...]) -> tuple[NDArray[np.uint8], str]:
        images, problems = [], []
        at_least = self.preprocessing.enough if len(paths) == 1 else None
        for position, path in enumerate(paths):
            try:
                images.append(read_image(Path(path), at_least=at_least))
            except UnreadableImageError as error:
                problems.append(f"{position} {error}")
        if not images:
            return np.zeros((3, *self.preprocessing.size), np.uint8), "\n".join([NOTHING, *problems])
        return self.preprocessing.bytes_of(side_by_side(images)), "\n".join(problems)

    def problems(self, notes: Sequence[str]) -> dict[str, str]:
        """Return the reason for each path that cannot be read, from the notes of the inputs, and set `absent`."""
        problems = dict(self.missing)
        for paths, note in zip(self.inputs, notes, strict=True):
            for line in note.splitlines():
                position, _, reason = line.partition(" ")
                if position.isdigit():
                    problems.setdefault(paths[int(position)], reason)
        self.absent = np.array([note.startswith(NOTHING) for note in notes], bool)
        return problems


def map_in_threads(work: Any, of: Iterable[Any]) -> Iterable[Any]:
    """Yield `work(x)` for each x in `of`, in order, computed in threads; decoders release the interpreter lock."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(work, of)
