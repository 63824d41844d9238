"""What every branch promises, whatever it looks at."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch

from anirec.errors import UserError
from anirec.features.branch import Branch
from anirec.features.tabular import Counts, Tabular
from tests.unit.features.conftest import CPU, pictures, text, tfidf

pytestmark = pytest.mark.slow

BRANCHES: dict[str, Callable[[], Branch]] = {
    "tiny": text,
    "tiny, each description": lambda: text(column="descriptions", join=False),
    "tiny, joined descriptions, attention": lambda: text(column="descriptions", pooling="attention"),
    "tiny_causal, last": lambda: text(encoder="tiny_causal", pooling="last", padding="left"),
    "tiny, last layer, checkpointed": lambda: text(trained_layers=1, gradient_checkpointing=True),
    "tiny, LoRA": lambda: text(lora_rank=2),
    "minilm": lambda: text(encoder="minilm", frozen=True),
    "minilm, each description": lambda: text(encoder="minilm", column="descriptions", join=False, frozen=True),
    "tiny pictures": pictures,
    "tiny pictures, pasted": lambda: pictures(layout="pasted", output="first_channel"),
    "tiny pictures, last layer": lambda: pictures(trained_layers=1, output="all"),
    "efficientnet_lite0": lambda: pictures(encoder="efficientnet_lite0", frozen=True),
    "efficientnet_lite0, pasted": lambda: pictures(
        encoder="efficientnet_lite0", layout="pasted", output="first_channel", frozen=True
    ),
    "TF-IDF": lambda: tfidf(columns=["synopsis", "descriptions"]),
    "tabular": lambda: Tabular(columns=["genres", "type", "episodes"]),
    "counts": lambda: Counts(columns=["synopsis_words", "descriptions_words", "n_main_characters"]),
}
everyone = pytest.mark.parametrize("make", BRANCHES.values(), ids=BRANCHES)


@everyone
def test_gives_vectors_of_its_width_and_zeros_where_nothing_is_known(make, seen) -> None:
    branch = seen(make())
    members = branch(torch.tensor([4, 0, 2]))
    assert members.values.shape == (3, members.present.shape[1], branch.width)
    assert members.values.dtype == torch.float32
    assert members.present.dtype == torch.bool
    assert not members.values[~members.present].any()
    assert members.values[members.present].isfinite().all()
    assert members.present.any()
    assert branch.lengths().shape == (6,)
    assert (branch.lengths() >= 1).all()


@everyone
def test_a_title_has_the_same_vector_in_any_company(make, seen) -> None:
    branch = seen(make())
    together = branch(torch.arange(6))
    for row in range(6):
        alone = branch(torch.tensor([row]))
        width = alone.present.shape[1]
        assert not together.present[row, width:].any()
        assert torch.equal(together.present[row, :width], alone.present[0])
        # Padding on the left moves the positions of a causal model: only the length of its batch's longest counts.
        if getattr(branch, "padding", None) != "left":
            torch.testing.assert_close(together.values[row, :width], alone.values[0], atol=1e-4, rtol=1e-4)


@everyone
def test_comes_back_from_description_and_state_dict(make, seen, titles: pl.DataFrame, tmp_path: Path) -> None:
    branch = seen(make())
    torch.save({"description": branch.description(), "state": branch.state_dict()}, tmp_path / "branch.pt")
    saved = torch.load(tmp_path / "branch.pt", weights_only=True)
    again = make()
    again.restore(saved["description"])
    again.load_state_dict(saved["state"])
    again.eval().look(titles, cache=tmp_path, device=CPU)
    before, after = branch(torch.arange(6)), again(torch.arange(6))
    assert torch.equal(before.present, after.present)
    torch.testing.assert_close(before.values, after.values, rtol=0, atol=0)
    assert (again.width, again.requires, again.frozen) == (branch.width, branch.requires, branch.frozen)


@everyone
def test_looks_at_titles_that_lack_all_it_wants(make, seen) -> None:
    branch = seen(make(), pl.DataFrame({"title": ["new", "newer"]}))
    members = branch(torch.tensor([0, 1]))
    assert members.values.shape[::2] == (2, branch.width)
    assert isinstance(branch, Counts) or not members.present.any()


@everyone
def test_every_parameter_that_learns_gets_a_gradient_even_where_nothing_is_known(make, seen) -> None:
    """Distributed training waits for all of them."""
    branch = seen(make()).train()
    learning = {name for name, parameter in branch.named_parameters() if parameter.requires_grad}
    assert bool(learning) != branch.frozen
    if learning:
        for rows in ([2], [0, 1, 4]):
            branch.zero_grad(set_to_none=True)
            branch(torch.tensor(rows)).values.sum().backward()
            given = {name for name, parameter in branch.named_parameters() if parameter.grad is not None}
            assert given == learning


@pytest.mark.parametrize("make", [text, tfidf], ids=["tiny", "TF-IDF"])
def test_nothing_to_learn_from_is_an_error(make) -> None:
    with pytest.raises(UserError, match=r"none of 2 training titles|no term in the column synopsis"):
        make().fit(pl.DataFrame({"title": ["a", "b"], "synopsis": [None, ""]}))
