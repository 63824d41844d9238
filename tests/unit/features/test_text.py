"""Text: the same numbers as transformers, the published flaw, and what is trained."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from transformers import AutoModel, AutoTokenizer, GPT2Config, GPT2Model

from anirec.errors import UserError
from anirec.features.encoders import packaged
from tests.unit.features.conftest import CPU

pytestmark = pytest.mark.slow

MINILM: dict[str, Any] = {"encoder": "minilm", "frozen": True, "max_tokens": 64}


def of(texts: list[str | None]) -> pl.DataFrame:
    return pl.DataFrame({"synopsis": pl.Series(texts, dtype=pl.String)})


def vectors(branch: Any) -> torch.Tensor:
    with torch.no_grad():
        return branch(torch.arange(len(branch.places))).values[:, 0]


TEXTS = ["A cat sleeps on the sofa.", "A kitten naps on the couch.", "The stock market fell sharply today. " * 20]


def test_minilm_is_what_transformers_computes_and_knows_what_is_alike(make_text, seen) -> None:
    ours = vectors(seen(make_text(**MINILM), of(TEXTS)))
    folder = packaged("minilm")
    tokens = AutoTokenizer.from_pretrained(folder)(
        TEXTS, padding=True, truncation=True, max_length=64, return_tensors="pt"
    )
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(folder).eval()(**tokens).last_hidden_state
    mask = tokens["attention_mask"].unsqueeze(2)
    torch.testing.assert_close(ours, (hidden * mask).sum(1) / mask.sum(1), atol=1e-5, rtol=1e-4)
    alike = torch.nn.functional.cosine_similarity(ours[0], ours[1:])
    assert alike[0] > 0.6 > 0.2 > alike[1]


@pytest.mark.parametrize("pooling", ["first", "last", "mean"])
@pytest.mark.parametrize("padding", ["left", "right"])
def test_frozen_and_trainable_agree_before_training(make_text, seen, pooling: str, padding: str) -> None:
    """Padded to the same length: a short text in the company of one that is cut at max_tokens."""
    settings = {**MINILM, "pooling": pooling, "padding": padding}
    frozen = vectors(seen(make_text(**settings), of(TEXTS)))
    trainable = vectors(seen(make_text(**{**settings, "frozen": False}), of(TEXTS)))
    torch.testing.assert_close(frozen, trainable, atol=1e-5, rtol=1e-4)


def test_the_published_vector_does_not_see_the_text_but_the_repaired_ones_do(make_text, seen) -> None:
    """Position 0 of a causal model, padded on the left to the longest text of the batch: it is padding."""
    longest = "A thief. " * 30
    one, other = of(["A king.", longest]), of(["The city", longest])
    published = {"encoder": "tiny_causal", "pooling": "first", "padding": "left"}
    first = vectors(seen(make_text(**published), one)), vectors(seen(make_text(**published), other))
    assert torch.equal(first[0][0], first[1][0])
    for pooling in ("last", "mean", "attention"):
        repaired = {**published, "pooling": pooling}
        texts = vectors(seen(make_text(**repaired), one)), vectors(seen(make_text(**repaired), other))
        assert (texts[0][0] - texts[1][0]).abs().max() > 1e-3


def test_a_changed_end_changes_nothing_at_position_0(make_text, seen) -> None:
    same_start = of(["A thief hides in the kingdom."]), of(["A robot defends the last city."])
    first, second = (vectors(seen(make_text(encoder="tiny_causal", pooling="first"), texts)) for texts in same_start)
    assert torch.equal(first, second)


def test_long_texts_are_cut_and_counted(make_text, seen) -> None:
    texts = of(["thief " * 10_000, "thief " * 9_000, "A thief."])
    branch = seen(make_text(), texts)
    assert branch.coverage == {"titles": 3, "with_text": 3, "texts": 3, "cut_texts": 2}
    assert branch.lengths().tolist()[:2] == [24, 24]
    assert torch.equal(*vectors(branch)[:2])


def test_the_same_text_is_read_once(make_text, seen) -> None:
    branch = seen(make_text(), of(["A thief.", "A king.", " A thief. "]))
    assert branch.coverage["texts"] == 2
    assert torch.equal(*vectors(branch)[[0, 2]])


def test_the_tokenizer_of_tiny_is_trained_on_the_training_texts_alone_and_always_the_same(make_text, titles) -> None:
    tokenizers = []
    for encoder in ("tiny", "tiny_causal"):
        for _ in range(2):
            branch = make_text(encoder=encoder)
            branch.fit(titles)
            tokenizers.append(branch.description()["tokenizer"])
        assert tokenizers[-1] == tokenizers[-2]
        assert "thief" in tokenizers[-1]
        assert "samurai" not in tokenizers[-1]


def test_only_the_last_layers_learn(make_text, seen) -> None:
    branch = seen(make_text(trained_layers=1))
    learning = [name for name, parameter in branch.named_parameters() if parameter.requires_grad]
    assert learning
    assert all("layer.1." in name for name in learning)
    with pytest.raises(UserError, match="trained_layers=3: this encoder has 2 layers; expected 1 to 2"):
        seen(make_text(trained_layers=3))


def test_lora_starts_as_the_encoder_and_learns_little(make_text, seen) -> None:
    lora = seen(make_text(lora_rank=2))
    learning = sum(parameter.numel() for parameter in lora.parameters() if parameter.requires_grad)
    assert 0 < learning < 0.05 * sum(parameter.numel() for parameter in lora.parameters())
    torch.testing.assert_close(vectors(lora), vectors(seen(make_text())))


def test_mixed_precision_ends_in_float32(make_text, seen) -> None:
    branch = seen(make_text(pooling="attention"))
    with torch.autocast("cpu", torch.bfloat16):
        assert branch(torch.arange(2)).values.dtype == torch.float32


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"frozen": True}, "tiny has no pretrained weights"),
        ({**MINILM, "pooling": "attention"}, "use mean"),
        ({**MINILM, "lora_rank": 4}, "lora_rank=4 has no effect"),
        ({**MINILM, "compile": True}, "compile=true has no effect"),
        ({"trained_layers": 1, "lora_rank": 4}, "only one of the two"),
        ({"trained_layers": 0}, "trained_layers=0: expected a number >= 1"),
        ({**MINILM, "max_tokens": 513}, "max_tokens=513: minilm reads at most 512"),
        ({**MINILM, "frozen": False, "max_tokens": 513}, "max_tokens=513: minilm reads at most 512"),
        ({"encoder": "miniln"}, "Did you mean minilm"),
        ({"encoder": "someone/model", "frozen": True}, "hf download someone/model"),
    ],
)
def test_impossible_settings_are_refused(make_text, seen, changed: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        seen(make_text(**changed))


@pytest.fixture
def gpt2(tmp_path: Path) -> Path:
    """GPT-2's architecture, small, in a folder without a tokenizer."""
    torch.manual_seed(1)
    GPT2Model(GPT2Config(n_embd=32, n_layer=2, n_head=2)).save_pretrained(tmp_path / "gpt2")
    return tmp_path / "gpt2"


def test_gpt2_without_a_tokenizer_gets_its_own(make_text, seen, gpt2: Path) -> None:
    branch = seen(make_text(encoder=str(gpt2), pooling="last", padding="left"), of(["Hello world"]))
    assert branch.tokens.number.tolist() == [15496, 995]
    with torch.no_grad():
        expected = AutoModel.from_pretrained(gpt2).eval()(torch.tensor([[15496, 995]])).last_hidden_state[:, -1]
    torch.testing.assert_close(vectors(branch), expected)
    again = make_text(encoder="/nowhere", pooling="last", padding="left")
    again.restore(branch.description())
    again.load_state_dict(branch.state_dict())


def test_a_frozen_encoder_that_changed_is_refused(make_text, seen, gpt2: Path, tmp_path: Path) -> None:
    settings = {"encoder": str(gpt2), "frozen": True, "pooling": "last"}
    branch = seen(make_text(**settings), of(["Hello world"]))
    GPT2Model(GPT2Config(n_embd=32, n_layer=2, n_head=2)).save_pretrained(gpt2)
    again = make_text(**settings)
    again.restore(branch.description())
    with pytest.raises(UserError, match="is not what this model was trained with"):
        again.look(of(["Hello world"]), cache=tmp_path, device=CPU)


def test_what_is_cached_needs_no_encoder(make_text, seen, gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"encoder": str(gpt2), "frozen": True, "pooling": "mean"}
    first = vectors(seen(make_text(**settings), of(["Hello world", "Good night"])))
    monkeypatch.setattr(
        "anirec.features.text_encoders.load_text_encoder", lambda _: pytest.fail("the encoder was loaded again")
    )
    again = seen(make_text(**settings), of(["Good night", "Hello world"]))
    assert torch.equal(vectors(again), first[[1, 0]])
    assert not again.state_dict()
