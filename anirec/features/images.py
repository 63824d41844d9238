"""Reading pictures that nobody vouches for: few formats, bounded sizes, and a reason for each that is refused."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from anirec.data.prepare.fingerprint import content_hash

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
MOST_BYTES = 100 << 20
MOST_PIXELS = 25_000_000
MOST_SLENDER = 10  # longer side over shorter side
RULES = (1, FORMATS, MOST_BYTES, MOST_PIXELS, MOST_SLENDER)  # grows or changes when the same bytes read differently


class UnreadableError(Exception):
    """Why a picture is refused, in a few words."""


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Let the block read a file.

    Raises:
        UnreadableError: There is no such file, it is too large, or the system refuses it.
    """
    try:
        if not path.is_file():
            raise UnreadableError("no such file")
        if path.stat().st_size > MOST_BYTES:
            raise UnreadableError(f"{path.stat().st_size >> 20} MB, more than {MOST_BYTES >> 20}")
        yield
    except OSError as error:
        raise UnreadableError(error.strerror or str(error)) from None


def content_key(path: Path, cache: Path) -> bytes:
    """16 bytes that stand for a file's content, which is read only if the file is new or has changed since.

    Raises:
        UnreadableError: As `readable`.
    """
    with readable(path):
        return bytes.fromhex(content_hash(path, cache))[:16]


def read(path: Path, *, at_least: tuple[int, int] | None = None) -> "Image":
    """The picture as RGB, on white where it is transparent; the first frame of an animation.

    Args:
        path: Of the picture.
        at_least: Width and height that are enough: a larger JPEG may be decoded at 1/2, 1/4 or 1/8 of its size.

    Raises:
        UnreadableError: It is none of the formats, is damaged, has too many pixels, or is too slender.
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
    except (UnreadableError, MemoryError):  # the latter says nothing of the picture, and must not be remembered
        raise
    except Image.DecompressionBombError:
        raise UnreadableError(f"more than {MOST_PIXELS:,} pixels") from None
    except Image.UnidentifiedImageError:
        raise UnreadableError(f"not a picture ({', '.join(FORMATS)})") from None
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        raise UnreadableError(f"damaged: {error}") from None


def check_size(width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise UnreadableError(f"{width} x {height}, more than {MOST_PIXELS:,} pixels")
    if max(width, height) > MOST_SLENDER * min(width, height):
        raise UnreadableError(f"{width} x {height}, too slender")


def on_white(image: "Image") -> "Image":
    from PIL import Image

    if not image.has_transparency_data:
        return image.convert("RGB")
    coloured = image.convert("RGBA")
    white = Image.new("RGBA", coloured.size, "white")
    return Image.alpha_composite(white, coloured).convert("RGB")


def side_by_side(images: Sequence["Image"]) -> "Image":
    """Pictures in a row, from the top, on black; smaller together where the row would have too many pixels."""
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
