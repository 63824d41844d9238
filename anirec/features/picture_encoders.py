"""Picture encoders: those of timm and transformers with their preprocessing, and a small one trained from scratch."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from anirec.errors import UserError
from anirec.features.encoders import find_encoder, offline, plain_settings, read_encoder_config, weight_files
from anirec.features.text_encoders import config_dict, quiet_transformers, without_pooler

KNOWN = ("tiny", "efficientnet_lite0")
TINY = {"input_size": [3, 64, 64], "crop_pct": 1.0, "crop_mode": "squash", "mean": [0.5] * 3, "std": [0.5] * 3}
LITE0 = {"input_size": [3, 224, 224], "crop_pct": 0.875, "crop_mode": "center", "mean": [0.498] * 3, "std": [0.502] * 3}

# Arguments of timm.create_model that read files or access the hub; all others belong to the architecture.
OUTWARD = ("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir")

Output = Literal["pooled", "first_channel", "all"]


@dataclass(frozen=True)
class PictureRecipe:
    """Everything but the weights that is needed to build a picture encoder.

    Args:
        library: "timm" or "transformers".
        config: `architecture` and `args` of timm, or the config of transformers.
        preprocessing: The data config of timm, or the settings of an image processor of transformers.
    """

    library: str
    config: dict[str, Any]
    preprocessing: dict[str, Any]

    def description(self) -> dict[str, Any]:
        return asdict(self)


def recipe_of(name: str) -> PictureRecipe:
    """Return the recipe of an encoder, given by a built-in name, a folder, or the name of a downloaded model.

    Raises:
        UserError: The encoder is not on this machine, or cannot be read.
    """
    if name == "tiny":
        return PictureRecipe("timm", {"architecture": "test_resnet", "args": {}}, {**TINY, "interpolation": "bilinear"})
    if name == "efficientnet_lite0":
        config = {"architecture": "tf_efficientnet_lite0", "args": {}}
        return PictureRecipe("timm", config, {**LITE0, "interpolation": "bicubic"})
    folder = encoder_folder(name)
    config = read_encoder_config(folder)
    return timm_recipe(config) if "architecture" in config else transformers_recipe(folder)


def encoder_folder(name: str) -> Path:
    """Return the folder of an encoder."""
    return find_encoder(full_name(name), KNOWN)


def full_name(name: str) -> str:
    """Complete a name such as `timm/resnet18` with the default weights of timm: timm/resnet18.a1_in1k."""
    architecture = name.removeprefix("timm/")
    if architecture == name or "." in architecture or "/" in architecture or Path(name).is_dir():
        return name
    import timm

    try:
        preferred = timm.get_pretrained_cfg(architecture, allow_unregistered=False)
    except RuntimeError:
        preferred = None
    return getattr(preferred, "hf_hub_id", None) or name


def timm_recipe(config: dict[str, Any]) -> PictureRecipe:
    from timm.data import resolve_data_config

    args = {name: value for name, value in config.get("model_args", {}).items() if name != "num_classes"}
    data = resolve_data_config(pretrained_cfg=config.get("pretrained_cfg", config))
    data = {name: list(value) if isinstance(value, tuple) else value for name, value in data.items()}
    return PictureRecipe("timm", {"architecture": config["architecture"], "args": args}, data)


def transformers_recipe(folder: Path) -> PictureRecipe:
    from transformers import AutoConfig, AutoImageProcessor

    try:
        with quiet_transformers():
            config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise UserError(f"{folder}: transformers cannot read this encoder and its preprocessing: {error}") from None
    return PictureRecipe(
        "transformers", config_dict(config), {"class": type(processor).__name__, **plain_processor(processor)}
    )


def plain_processor(processor: Any) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(processor.to_json_string())
    return values


def build_picture_encoder(recipe: PictureRecipe) -> nn.Module:
    """Build the architecture with new weights and without a classifier, without reading files.

    Raises:
        UserError: The architecture does not exist, or it cannot be built from the recipe alone.
    """
    try:
        with offline():
            return built(recipe)
    except (OSError, ValueError, KeyError, ImportError, AttributeError) as error:
        raise UserError(f"{recipe.library} cannot build the picture encoder from its recipe: {error}") from None


def built(recipe: PictureRecipe) -> nn.Module:
    if recipe.library == "timm":
        import timm

        if outward := sorted(set(recipe.config["args"]) & set(OUTWARD)):
            raise UserError(
                f"model_args of a picture encoder: {', '.join(outward)} would read files or access the hub; remove it"
            )
        if not timm.is_model(recipe.config["architecture"]):  # "hf-hub:…" and "local-dir:…" would read files
            raise UserError(f"timm has no architecture {recipe.config['architecture']}")
        size = {"input_size": tuple(recipe.preprocessing["input_size"])}
        args: Any = {"num_classes": 0, "pretrained_cfg_overlay": size, **recipe.config["args"]}
        model: nn.Module = timm.create_model(recipe.config["architecture"], pretrained=False, **args)
        return model
    from transformers import AutoConfig, AutoModel

    config = AutoConfig.for_model(**plain_settings(recipe.config))
    return without_pooler(AutoModel.from_config(config, trust_remote_code=False).float())


def load_picture_encoder(name: str, recipe: PictureRecipe) -> nn.Module:
    """Load a pretrained encoder by name, in float32.

    Raises:
        UserError: The weights do not match the architecture, or cannot be loaded.
    """
    try:
        with offline():
            return loaded(name, recipe)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise UserError(f"encoder={name}: its weights cannot be loaded: {error}") from None


def loaded(name: str, recipe: PictureRecipe) -> nn.Module:
    if name == "efficientnet_lite0":
        return load_lite0(recipe)
    if recipe.library == "timm":
        import timm

        model: nn.Module = timm.create_model(f"local-dir:{encoder_folder(name)}", pretrained=True, num_classes=0)
        return model.float()
    from transformers import AutoModel

    with quiet_transformers():
        pretrained = AutoModel.from_pretrained(encoder_folder(name), local_files_only=True, trust_remote_code=False)
    return without_pooler(pretrained.float())


def load_lite0(recipe: PictureRecipe, *, classifier: bool = False) -> nn.Module:
    """Load EfficientNet-Lite0 (ImageNet). The package has other names for the layers, in the same order."""
    import timm

    (path,) = weight_files(encoder_folder("efficientnet_lite0"))
    saved = torch.load(path, map_location="cpu", weights_only=True)
    model: Any = timm.create_model(recipe.config["architecture"], pretrained=False)
    model.load_state_dict(dict(zip(model.state_dict(), saved.values(), strict=True)))
    if not classifier:
        model.reset_classifier(0)
    encoder: nn.Module = model
    return encoder


def vectors(encoder: nn.Module, library: str, pixels: Tensor, output: Output) -> Tensor:
    """Return the vectors (k, width) float32 of normalised pixels (k, 3, H, W).

    Raises:
        UserError: `output` is "first_channel", but the encoder has no feature map with channels.
    """
    model: Any = encoder
    features = model.forward_features(pixels) if library == "timm" else model(pixel_values=pixels).last_hidden_state
    if output == "pooled":
        pooled = model.forward_head(features, pre_logits=True) if library == "timm" else mean_of(features)
        return pooled.float()
    if features.ndim == 4 and getattr(model, "output_fmt", "NCHW") == "NHWC":
        features = features.permute(0, 3, 1, 2)
    if output == "first_channel":
        if features.ndim != 4:
            raise UserError(
                "output=first_channel: this encoder has no map of channels, unlike a ResNet; use output=pooled"
            )
        features = features[:, 0]
    return features.flatten(1).float()


def mean_of(features: Tensor) -> Tensor:
    """Average features (k, C, H, W) or (k, N, C) over positions, (k, C)."""
    return features.mean((2, 3)) if features.ndim == 4 else features.mean(1)


def output_width(recipe: PictureRecipe, output: Output, size: tuple[int, int]) -> int:
    """Return the length of an encoder's vectors for pictures of a height and width, without weights or computation."""
    with torch.device("meta"):
        return vectors(build_picture_encoder(recipe).eval(), recipe.library, torch.zeros(1, 3, *size), output).shape[1]
