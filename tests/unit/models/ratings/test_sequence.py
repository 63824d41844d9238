"""Sequence models: order, windows, padding, ties and causality; and they learn a planted order that ease cannot."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from torch.nn.functional import binary_cross_entropy_with_logits

from anirec.config.compose import conf_folder
from anirec.data.ratings.datamodule import RatingData
from anirec.data.ratings.interactions import UNKNOWN, Interactions, RatingBatch
from anirec.data.ratings.sequences import HOUR, SequenceBatch, SequenceBatches, Sequences
from anirec.data.splits.rows import Random
from anirec.data.splits.time import LastK
from anirec.data.synthetic.demo_sequences import DemoSequences
from anirec.errors import UserError
from anirec.evaluation.known_histories import scorer
from anirec.lightning import Callback
from anirec.models.base import SupportsFoldIn
from anirec.models.ratings import sequence
from anirec.models.ratings.blend import Blend
from anirec.models.ratings.earlier import Earlier
from anirec.models.ratings.sequence import SequenceModel, gbce

from .test_transitions import N_ITEMS, N_USERS
from .test_transitions import Sequences as Circle

MODELS = ["sasrec", "hstu"]


def rows(item: list[int], time: list[int], user: list[int] | None = None) -> Interactions:
    users = np.array(user or [0] * len(item), dtype=np.int32)
    ratings = np.full(len(item), 8, dtype=np.float32)
    return Interactions(users, np.array(item, dtype=np.int32), ratings, int(users.max()) + 1, np.array(time))


def batches(sequences: Sequences, length: int, epoch: int = 0, size: int = 2) -> list[SequenceBatch]:
    return list(SequenceBatches(sequences, length=length, size=size, seed=0, epoch=lambda: epoch))


def made(name: str, *overrides: str) -> Any:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = compose("config", [f"model={name}", *(f"model.{override}" for override in overrides)])
    return instantiate(config.model, _convert_="all")


@pytest.fixture(params=MODELS)
def untrained(request: pytest.FixtureRequest) -> SequenceModel:
    torch.manual_seed(0)
    model: SequenceModel = made(request.param, "n_factors=16", "max_length=8", "init_std=0.5", "use_gaps=true")
    model.n_users, model.n_items = 3, 30
    model.configure_model()
    for name, parameter in model.named_parameters():
        if ".bias." in name:
            torch.nn.init.normal_(parameter)
    return model.eval()


def random_batch(n: int, length: int) -> SequenceBatch:
    random = torch.Generator().manual_seed(1)
    item = torch.randint(30, (n, length), generator=random)
    preference = torch.rand(n, length, generator=random)
    hours = torch.arange(length).float().square().expand(n, -1)
    return SequenceBatch(item, preference, hours, item, torch.full((n,), length))


def test_each_row_is_predicted_once_from_what_came_before_it() -> None:
    sequences = Sequences(rows([0, 1, 2, 3, 4, 5, 9], [50, 40, 30, 20, 10, 0, 7], [0] * 6 + [1]))
    found = batches(sequences, length=4)
    target = torch.cat([batch.target.flatten() for batch in found])
    assert sorted(target[target >= 0].tolist()) == [0, 1, 2, 3, 4, 5, 9]
    pairs = {
        (int(item), int(target))
        for batch in found
        for item, target in zip(batch.item.flatten(), batch.target.flatten(), strict=True)
        if target >= 0
    }
    assert pairs == {(-1, 5), (5, 4), (4, 3), (3, 2), (2, 1), (1, 0), (-1, 9)}


def test_the_newest_entries_count_in_a_ranking() -> None:
    sequences = Sequences(rows([0, 1, 2, 9], [30, 20, 10, 7], [0, 0, 0, 1]))
    newest = sequences.newest_batch(np.array([0, 1, 2]), 2)
    assert newest.item.tolist() == [[1, 0], [-1, 9], [-1, -1]]
    assert newest.length.tolist() == [2, 2, 1]


def test_equal_times_are_in_random_order_and_rows_without_time_come_first() -> None:
    sequences = Sequences(rows(list(range(8)), [UNKNOWN, 5, 5, 5, 5, 9, UNKNOWN, 1]))
    orders = []
    for epoch in range(200):
        (batch,) = batches(sequences, length=8, epoch=epoch)
        orders.append(batch.target[0].tolist())
    assert all(set(order[:2]) == {0, 6} and order[2] == 7 and order[7] == 5 for order in orders)
    first = np.bincount([order[3] for order in orders], minlength=5)[1:]
    assert first.min() > 30, "the id of a title must not decide its place"
    assert batches(sequences, length=8, epoch=3)[0].target[0].tolist() == orders[3]
    assert sequences.order_counts == {"n_rows": 8, "n_unknown_time": 2, "n_tied": 4}


def test_times_are_hours_since_the_first_entry_of_the_user() -> None:
    hour = 3_600_000_000
    sequences = Sequences(rows([0, 1, 2, 3, 0], [UNKNOWN, 9 * hour, 9 * hour, 33 * hour, 2], [0, 0, 0, 0, 1]))
    np.testing.assert_array_equal(sequences.hours, np.float32([np.nan, 0, 0, 24, 0]))


def test_data_without_times_are_refused() -> None:
    with pytest.raises(UserError, match="No row of this dataset has a timestamp"):
        Sequences(rows([0, 1], [UNKNOWN, UNKNOWN]))


def test_the_attention_reads_the_distance_and_the_time_between_entries(untrained: SequenceModel) -> None:
    batch = random_batch(2, 8)
    slower, unknown = batch._replace(hours=batch.hours * 50), batch._replace(hours=batch.hours * torch.nan)
    with torch.no_grad():
        for other in (slower, unknown):
            assert not torch.allclose(untrained.encode(batch), untrained.encode(other), atol=0.01)
        shifted = untrained.encode(batch._replace(hours=batch.hours + 7))
    torch.testing.assert_close(untrained.encode(batch), shifted)


def test_the_softmax_is_over_the_items_with_a_training_row(untrained: SequenceModel) -> None:
    untrained.untrained = torch.arange(30) >= 20
    predicted, target = torch.randn(5, 16), torch.tensor([0, 3, 3, 7, 19])
    found = untrained.loss(predicted, target).item()
    exp_ni = np.exp(predicted.numpy() @ untrained.item_factors[:20].detach().numpy().T)
    assert found == pytest.approx(-np.log(exp_ni[np.arange(5), target] / exp_ni.sum(axis=1)).mean(), rel=1e-5)


@pytest.mark.parametrize(("calibration", "n_items"), [(0.0, 100), (0.75, 100), (1.0, 100), (0.5, 4)])
def test_gbce_is_the_published_formula(calibration: float, n_items: int) -> None:
    """Equations 8 and 11 of the paper; without calibration, it is binary cross-entropy."""
    logits, k = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), 3
    rate = k / (n_items - 1)
    power = rate * (calibration * (1 - 1 / rate) + 1 / rate)
    total = 0.0
    for positive, *negatives in (1 / (1 + np.exp(-logits.double().numpy()))).tolist():
        total -= np.log(positive**power) + sum(np.log(1 - negative) for negative in negatives)
    found = gbce(logits, n_items=n_items, calibration=calibration).item()
    assert found == pytest.approx(total / (6 * (k + 1)), rel=1e-5)
    if calibration == 0:
        target = torch.zeros_like(logits)
        target[:, 0] = 1
        assert found == pytest.approx(binary_cross_entropy_with_logits(logits, target).item(), rel=1e-5)


def test_negatives_are_all_other_trained_items_and_never_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    model: SequenceModel = made("sasrec", "n_factors=4", "n_heads=1", "negatives=400", "calibration=0.75")
    model.n_users, model.n_items = 3, 30
    model.configure_model()
    model.untrained = torch.arange(30) % 3 == 0
    with torch.no_grad():
        model.item_factors[:] = torch.arange(31.0)[:, None]
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(sequence, "gbce", lambda logits, n_items, calibration: seen.append(logits) or logits.sum())
    model.loss(torch.full((2, 4), 0.25), torch.tensor([4, 29]))
    trained = {i for i in range(30) if i % 3}
    for target, logits in zip((4, 29), seen[0].round().long().tolist(), strict=True):
        assert logits[0] == target
        assert set(logits[1:]) == trained - {target}


def test_one_setting_of_gbce_alone_is_refused() -> None:
    with pytest.raises(InstantiationException, match="negatives=256, calibration=None: expected numbers for gBCE"):
        made("sasrec", "negatives=256")


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(InstantiationException, match="n_heads=3: expected a divisor of n_factors=64"):
        made("sasrec", "n_heads=3")


def test_later_entries_do_not_change_earlier_outputs(untrained: SequenceModel) -> None:
    batch = random_batch(2, 8)
    later = batch._replace(item=batch.item.clone(), preference=batch.preference.clone())
    later.item[:, 5:], later.preference[:, 5:] = 29 - later.item[:, 5:], -1
    with torch.no_grad():
        before, after = untrained.encode(batch), untrained.encode(later)
    torch.testing.assert_close(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 5:], after[:, 5:], atol=0.01)


def test_padding_and_other_histories_of_a_batch_change_nothing(untrained: SequenceModel) -> None:
    full, short = random_batch(3, 8), random_batch(3, 5)
    padded = SequenceBatch(*(column.clone() for column in full))
    for column, own, nothing in zip(padded[:3], short[:3], (-1, 1, torch.nan), strict=False):
        column[1, :5], column[1, 5:] = own[1], nothing
    with torch.no_grad():
        together, alone = untrained.encode(padded), untrained.encode(SequenceBatch(*(c[1:2] for c in short)))
    torch.testing.assert_close(together[1:2, :5], alone)


@pytest.mark.parametrize("name", MODELS)
def test_the_next_title_of_a_circle_is_learned(name: str, fit: Callable[..., Any]) -> None:
    data = circle()
    settings = ["n_factors=32", "n_blocks=1", "dropout=0.1", "training.lr_head=0.01", "training.batch_size=16"]
    model = made(name, "use_ratings=false", *settings)  # a sixth of the random ratings are dislikes
    fit(model, data, epochs=25)
    top = model.score_items(torch.arange(N_USERS)).topk(3).indices.numpy()
    assert (top == data.next_item[:, None]).any(axis=1).mean() > 0.7
    in_order = data.train.sort_by_time()
    folded = model.fold_in(in_order.rows(0, len(in_order)), N_USERS)
    items = in_order.item.reshape(N_USERS, -1)
    is_plain = [len(set(item_t)) == len(item_t) for item_t in items.tolist()]  # in a fold-in, repetitions do not count
    assert sum(is_plain) > 50
    scores = model.score_items(torch.arange(N_USERS))
    torch.testing.assert_close(folded[is_plain], scores[is_plain], rtol=1e-4, atol=1e-4)
    forwards, backwards = (
        model.fold_in(RatingBatch(torch.zeros(2).long(), torch.tensor(pair), torch.full((2,), 8.0)), 1)
        for pair in ([3, 7], [7, 3])
    )
    assert not torch.allclose(forwards, backwards, atol=0.1)
    assert folded.shape == (N_USERS, N_ITEMS)


def circle() -> Any:
    data: Any = Circle()
    data.given = data.train.where(np.zeros(len(data.train), dtype=bool))
    return data


SMALL = ["n_factors=32", "training.batch_size=32"]
GBCE = ["negatives=5", "calibration=0.75"]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("settings", [["use_gaps=true"], GBCE])
def test_the_number_of_threads_changes_nothing(name: str, settings: list[str], fit: Callable[..., Any]) -> None:
    tables, before = [], torch.get_num_threads()
    for n in (1, 2, 3):
        torch.set_num_threads(n)
        model = made(name, *SMALL, *settings)
        fit(model, circle(), epochs=2)
        tables.append(model.user_table)
    torch.set_num_threads(before)
    torch.testing.assert_close(tables[0], tables[1], rtol=0, atol=0)
    torch.testing.assert_close(tables[0], tables[2], rtol=0, atol=0)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("settings", [[], GBCE])
def test_resuming_gives_the_uninterrupted_result(
    name: str, settings: list[str], fit: Callable[..., Any], tmp_path: Path
) -> None:
    def model() -> Any:
        return made(name, *SMALL, *settings, "training.schedule=constant", "training.warmup=0")

    whole, resumed = model(), model()
    fit(whole, circle(), epochs=4)
    fit(model(), circle(), epochs=2).save_checkpoint(tmp_path / "half.ckpt")
    fit(resumed, circle(), epochs=4, resume=tmp_path / "half.ckpt")
    assert whole.state_dict().keys() == resumed.state_dict().keys()
    for key, wanted in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[key], wanted, rtol=0, atol=0, msg=key)


def test_a_history_longer_than_the_model_reads_is_reported(fit: Callable[..., Any]) -> None:
    model = made("sasrec", *SMALL, "max_length=8")
    fit(model, circle())
    (found,) = model.findings
    assert found.startswith(f"{N_USERS} histories have more than 8 entries: they are trained on in windows")


def test_equal_times_throughout_are_reported(fit: Callable[..., Any]) -> None:
    data = circle()
    data.train.time[:] = 7
    model = made("sasrec", *SMALL)
    fit(model, data)
    (found,) = model.findings
    n = f"{len(data.train):,}"
    assert found.startswith(
        f"Of {n} training rows, 0 have no time and come first in their histories; {n} have the same"
    )


class TestScores(Callback):
    """Keeps the scores of all users while the model is tested."""

    def on_test_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.scores = pl_module.score_items(torch.arange(trainer.datamodule.n_users))


@pytest.mark.parametrize("name", [*MODELS, "transitions"])
@pytest.mark.parametrize(
    ("split", "is_earlier"), [(LastK(test=1, val=2), True), (Random(test=0.1, val=0.1, seed=0), False)]
)
def test_validation_rows_are_history_in_the_test_of_a_split_in_time(
    name: str, split: Any, is_earlier: bool, fit: Callable[..., Any], tmp_path: Path
) -> None:
    source = DemoSequences(n_users=60, n_items=60, n_genres=3, length=12, seed=0)
    filters: dict[str, Any] = {"min_user_ratings": 0, "min_item_ratings": 0, "statuses": None, "unrated": "drop"}
    data = RatingData(source=source, joined=None, split=split, cache=str(tmp_path), **filters)
    model = made(name, *([] if name == "transitions" else ["n_factors=16", "init_std=0.5"]))
    seen = TestScores()
    trainer = fit(model, data, callbacks=[seen], limit_val_batches=0)
    users = torch.arange(data.n_users)
    trained = model.score_items(users)
    trainer.test(model, datamodule=data, verbose=False)
    torch.testing.assert_close(model.score_items(users), trained, rtol=0, atol=0)
    if not is_earlier:
        torch.testing.assert_close(seen.scores, trained, rtol=0, atol=0)
        return
    known = data.train.merge(data.val_in_points).sort_by_time()
    if name == "transitions":
        assert (seen.scores - trained).abs().max() > 0.01
    else:
        torch.testing.assert_close(seen.scores, model.fold_in(known.rows(0, len(known)), data.n_users))
        assert (seen.scores - trained).abs().amax(dim=1).min() > 0.01


def test_a_model_within_a_blend_reads_the_histories_at_test_as_alone(fit: Callable[..., Any], tmp_path: Path) -> None:
    source = DemoSequences(n_users=60, n_items=60, n_genres=3, length=12, seed=0)
    filters: dict[str, Any] = {"min_user_ratings": 0, "min_item_ratings": 0, "statuses": None, "unrated": "drop"}
    data = RatingData(source=source, joined=None, split=LastK(test=1, val=2), cache=str(tmp_path), **filters)
    models, weights = {"transitions": made("transitions"), "popularity": made("popularity")}, (1.0, 0.0)
    blend = Blend(models=models, weights=dict(zip(models, weights, strict=True)), epochs=1)
    scores = []
    for model in (made("transitions"), blend):
        seen = TestScores()
        trainer = fit(model, data, callbacks=[seen], limit_val_batches=0)
        trained = model.score_items(torch.arange(data.n_users))
        trainer.test(model, datamodule=data, verbose=False)
        torch.testing.assert_close(model.score_items(torch.arange(data.n_users)), trained, rtol=0, atol=0)
        assert (seen.scores - trained).abs().max() > 0.01
        scores.append(seen.scores)
    torch.testing.assert_close(*scores, rtol=0, atol=0)


def test_an_earlier_model_reads_histories_by_its_own_indices() -> None:
    earlier = Earlier(model=made("transitions"), run="none")
    earlier.n_users, earlier.n_items, earlier.model.n_users = 3, 4, 2
    earlier.configure_model()
    earlier.user_index[:], earlier.item_index[:] = torch.tensor([1, -1, 0, -1]), torch.tensor([2, -1, 0, 1, -1])
    own = earlier.rows_of_parts(rows([0, 3, 1, 2, 1, 3], [5, 6, 7, 8, 9, 4], [0, 0, 1, 1, 2, 2]))
    assert (own.user.tolist(), own.item.tolist(), own.time.tolist()) == ([0, 1, 1], [1, 1, 2], [4, 6, 5])
    assert own.n_users == 2


@pytest.mark.parametrize("name", MODELS)
def test_given_histories_count_with_their_times_and_entries_without_a_time(name: str, fit: Callable[..., Any]) -> None:
    data, model = circle(), made(name, *SMALL, "use_gaps=true")
    is_given = data.train.user < 3
    data.given, data.train = data.train.where(is_given), data.train.where(~is_given)
    data.train_and_unrated = data.train
    time = data.given.time
    data.given.time[:] = np.where(time == 0, UNKNOWN, HOUR * 2**time)
    fit(model, data)
    sequences, users = model.histories(data.given), torch.arange(3)
    assert len(sequences.item) == len(data.given)
    with torch.no_grad():
        expected = model.encode_newest(sequences)[users] @ model.item_factors[:-1].T
        torch.testing.assert_close(scorer(model, data)(users), expected)


def test_histories_given_to_a_model_of_models_are_in_the_order_of_time() -> None:
    given = rows([0, 1, 2, 3], [5, UNKNOWN, 3, 4])
    ordered: list[list[int]] = []

    def fold_in(batch: RatingBatch, n: int) -> torch.Tensor:
        ordered.append(batch.item.tolist())
        return torch.zeros(n, 4)

    part = made("transitions")
    part.uses_order, part.fold_in = True, fold_in
    blend = Blend(models={"part": part}, weights={"part": 1.0}, epochs=1)
    assert isinstance(blend, SupportsFoldIn)
    none = given.where(np.zeros(4, dtype=bool))
    scorer(blend, SimpleNamespace(train=none, train_and_unrated=none, given=given))(torch.tensor([0]))
    assert ordered == [[1, 2, 3, 0]]


def test_dislikes_count_against_what_they_would_raise(untrained: SequenceModel) -> None:
    for name, value in (("mean", 7.0), ("lowest", 1.0), ("highest", 10.0)):
        untrained.baseline.get_buffer(name).fill_(value)

    def scores(*pairs: tuple[int, float]) -> torch.Tensor:
        item, rating = (torch.tensor(column) for column in zip(*pairs, strict=True))
        return untrained.fold_in(RatingBatch(torch.zeros_like(item), item, rating.float()), 1)

    without, unrated = scores((3, 8.0), (7, 8.0)), scores((3, 8.0), (5, torch.nan), (7, 8.0))
    disliked = scores((3, 8.0), (5, 1.0), (7, 8.0))
    assert (unrated - without).abs().max() > 0.01
    torch.testing.assert_close(disliked, without - 0.5 * (unrated - without), rtol=1e-3, atol=0.05)
