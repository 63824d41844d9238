"""Which parameters of a pretrained encoder learn, and how their gradients are made affordable."""

from torch import nn

from anirec.errors import UserError


def adapt(
    encoder: nn.Module, *, trained_layers: int | None, lora_rank: int | None, gradient_checkpointing: bool
) -> None:
    """Prepare an encoder for training.

    Raises:
        UserError: It cannot be done as asked.
    """
    if trained_layers is not None:
        train_last(encoder, trained_layers)
    if lora_rank is not None:
        add_lora(encoder, lora_rank)
    if gradient_checkpointing:
        checkpoint_gradients(encoder)


def check_settings(frozen: bool, trained_layers: int | None, lora_rank: int | None) -> None:
    """Refuse settings that contradict each other, or that nothing would read."""
    training = {"trained_layers": trained_layers, "lora_rank": lora_rank}
    given = {name: value for name, value in training.items() if value is not None}
    if frozen and given:
        raise UserError(f"frozen=true trains nothing of the encoder, so {said(given)} has no meaning: make it null")
    if len(given) > 1:
        raise UserError(f"{said(given)}: choose one of the two; the other is null")


def said(settings: dict[str, int]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items())


def train_last(encoder: nn.Module, n: int) -> None:
    """Let only the last n layers learn, and what comes behind them; embeddings and earlier layers stay as they are.

    Raises:
        UserError: The encoder has fewer layers, or no list of them.
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
    """Of each parameter: 0 before the first layer, then the number of its layer; behind the last, as the last."""
    matcher = getattr(encoder, "group_matcher", None)  # timm's models know
    if matcher is not None:
        from timm.models import group_parameters

        return dict(group_parameters(encoder, matcher(coarse=True), reverse=True))
    lists = {f"{name}.": m for name, m in encoder.named_modules() if isinstance(m, nn.ModuleList)}
    if not lists:
        raise UserError("trained_layers: this encoder has no list of layers; use null")
    prefix = max(lists, key=lambda name: len(lists[name]))
    found, reached = {}, 0
    for name, _ in encoder.named_parameters():  # in the order of the computation, as architectures declare it
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
    """Compute activations again in the backward pass instead of keeping them.

    Raises:
        UserError: The architecture cannot.
    """
    enable = getattr(encoder, "gradient_checkpointing_enable", None)
    try:
        if enable is None:
            raise ValueError("it has no such mode")
        enable({"use_reentrant": False})
    except ValueError as error:
        raise UserError(f"gradient_checkpointing=true: this encoder cannot: {error}") from None
