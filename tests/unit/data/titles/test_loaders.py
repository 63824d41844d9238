"""Batches of titles: each once, other ones every epoch, equally many for all processes."""

import numpy as np
import pytest

from anirec.data.titles.loaders import ShuffledTitles, TitleBlocks
from anirec.errors import UserError

SCORE = np.linspace(1, 10, 1000, dtype=np.float32)
TRAIN = np.arange(0, 1000, 2)
LENGTHS = np.random.default_rng(0).integers(5, 200, 1000)


def shuffled(epoch: int = 0, **changes: object) -> ShuffledTitles:
    settings = {"rows": 8, "lengths": LENGTHS, "seed": 1, "epoch": lambda: epoch, **changes}
    return ShuffledTitles(TRAIN, SCORE, **settings)


def seen(batches: ShuffledTitles) -> list[int]:
    return [title for batch in batches for title in batch.index.tolist()]


def test_every_title_once_with_its_score() -> None:
    batches = list(shuffled())
    assert sorted(title for batch in batches for title in batch.index.tolist()) == TRAIN.tolist()
    assert all((batch.score.numpy() == SCORE[batch.index.numpy()]).all() for batch in batches)
    assert len(batches) == len(shuffled()) == 63


def test_epochs_differ_and_repeat() -> None:
    assert seen(shuffled(0)) == seen(shuffled(0))
    assert seen(shuffled(0)) != seen(shuffled(1))


def test_batches_hold_texts_of_like_length() -> None:
    bucketed = [np.ptp(LENGTHS[batch.index.numpy()]) for batch in shuffled()]
    mixed = [np.ptp(LENGTHS[batch.index.numpy()]) for batch in shuffled(lengths=None)]
    assert np.mean(bucketed) < np.mean(mixed) / 10


def test_as_published_nothing_is_shuffled() -> None:
    assert seen(shuffled(3, shuffled=False)) == TRAIN.tolist()


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_without_repeats_and_step_together(world_size: int) -> None:
    shares = [list(shuffled(rank=rank, world_size=world_size)) for rank in range(world_size)]
    assert len({len(share) for share in shares}) == 1
    titles = [title for share in shares for batch in share for title in batch.index.tolist()]
    assert len(titles) == len(set(titles)) >= len(TRAIN) - 8 * world_size


def test_too_many_processes_are_refused() -> None:
    with pytest.raises(UserError, match="too few for 4 processes"):
        ShuffledTitles(TRAIN[:20], SCORE, rows=8, lengths=None, seed=1, epoch=lambda: 0, world_size=4)


def test_evaluation_keeps_the_order() -> None:
    blocks = TitleBlocks(TRAIN, SCORE, rows=64)
    assert [title for block in blocks for title in block.index.tolist()] == TRAIN.tolist()
    assert len(blocks) == len(list(blocks)) == 8
