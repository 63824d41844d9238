"""Fine-tuning of pretrained encoders: trained layers, low-rank adaptation and gradient checkpointing."""

from torch import nn

from anirec.errors import UserError


def adapt(
    encoder: nn.Module, *, trained_layers: int | None, lora_rank: int | None, gradient_checkpointing: bool
) -> None:
    """Prepare an encoder for training.

    Args:
        encoder: The encoder, which is changed in place.
        trained_layers: Number of last layers to train; None for all.
        lora_rank: Rank of low-rank updates; None for none.
        gradient_checkpointing: Whether to recompute activations in the backward pass.

    Raises:
        UserError: The encoder does not support a setting.
    """
    if trained_layers is not None:
        train_last(encoder, trained_layers)
    if lora_rank is not None:
        add_lora(encoder, lora_rank)
    if gradient_checkpointing:
        checkpoint_gradients(encoder)


def train_last(encoder: nn.Module, n: int) -> None:
    """Train only the last n layers and everything after them; embeddings and earlier layers are frozen.

    Raises:
        UserError: The encoder has fewer layers, or its layers cannot be found.
    """
    depth = depths(encoder)
    deepest = max(depth.values())
    if not 1 <= n <= deepest:
        raise UserError(
            f"trained_layers={n}: this encoder has {deepest} layers; expected 1 to {deepest}, or null for all"
        )
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_(depth[name] > deepest - n)


def depths(encoder: nn.Module) -> dict[str, int]:
    """Return the layer number of each parameter: 0 before the first layer; after the last layer, that of the last."""
    matcher = getattr(encoder, "group_matcher", None)  # models of timm define this
    if matcher is not None:
        from timm.models import group_parameters

        return dict(group_parameters(encoder, matcher(coarse=True), reverse=True))
    lists = {f"{name}.": m for name, m in encoder.named_modules() if isinstance(m, nn.ModuleList)}
    if not lists:
        raise UserError("trained_layers: the layers of this encoder cannot be found; use null")
    prefix = max(lists, key=lambda name: len(lists[name]))
    found, reached = {}, 0
    for name, _ in encoder.named_parameters():  # architectures declare parameters in the order of computation
        if name.startswith(prefix):
            reached = int(name.removeprefix(prefix).partition(".")[0]) + 1
        found[name] = reached
    return found


def add_lora(encoder: nn.Module, rank: int) -> None:
    """Freeze the encoder and add low-rank updates to all its linear layers (Hu et al. 2022, LoRA).

    Raises:
        UserError: The library is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise UserError("lora_rank needs the library peft. Install it: pip install 'anirec[lora]'") from None
    settings = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear")
    inject_adapter_in_model(settings, encoder)


def checkpoint_gradients(encoder: nn.Module) -> None:
    """Recompute activations in the backward pass instead of keeping them.

    Raises:
        UserError: The architecture does not support it.
    """
    enable = getattr(encoder, "gradient_checkpointing_enable", None)
    try:
        if enable is None:
            raise ValueError("it has no such method")
        enable({"use_reentrant": False})
    except ValueError as error:
        raise UserError(f"gradient_checkpointing=true: this encoder does not support it: {error}") from None
