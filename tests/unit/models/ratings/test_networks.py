"""NCF, hybrid and profile MLP: the scoring head, the objectives, and leakage between histories and targets."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import Tensor, nn

from anirec.config.compose import conf_folder
from anirec.data.ratings.datamodule import RatingData
from anirec.data.ratings.interactions import RatingBatch
from anirec.data.ratings.loaders import ShuffledInteractions
from anirec.errors import UserError
from anirec.lightning import Callback
from anirec.models.ratings.bias import Bias
from anirec.models.ratings.network import RatingNetwork, Step
from anirec.models.ratings.popularity import Popularity
from anirec.models.ratings.towers import Head

pytestmark = pytest.mark.slow  # the file as a whole

WORLD = ["dataset=demo_ratings", "dataset.source.n_users=300", "dataset.source.n_items=100"]
WORLD += ["dataset.source.ratings_per_user=30", "dataset.source.noise=0.7"]
QUICK = ["training.epochs=2", "training.batch_size=512"]
WITH_CONTENT = ["hybrid", "profile_mlp"]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Use one thread, which is faster for small tensors."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def composed(*overrides: str) -> Any:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return compose("config", list(overrides))


def made(name: str, *overrides: str) -> Any:
    """Return an untrained model of conf/model; `overrides` are keys of the model."""
    return instantiate(composed(f"model={name}", *(f"model.{o}" for o in overrides)).model, _convert_="all")


@pytest.fixture(scope="module")
def world(cache: Path) -> Callable[..., RatingData]:
    """Return a function that generates a small dataset; overrides set its split."""

    def world(*overrides: str) -> RatingData:
        config = composed(*WORLD, *overrides)
        data: RatingData = instantiate(config.dataset, split=config.split, cache=str(cache), _convert_="all")
        data.prepare_data()
        data.setup("fit")
        return data

    return world


@pytest.fixture(scope="module")
def data(world: Callable[..., RatingData]) -> RatingData:
    return world("split=random", "split.val=0")


@pytest.fixture(scope="module")
def new_titles(world: Callable[..., RatingData]) -> RatingData:
    return world("split=whole_items", "split.val=0")


@pytest.fixture(scope="module")
def trained(fit: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that trains a model of conf/model, for two epochs unless its overrides say otherwise."""

    def train(data: RatingData, name: str, *overrides: str, **options: Any) -> Any:
        model = made(name, *QUICK, *overrides)
        fit(model, data, epochs=model.training_settings.epochs, limit_val_batches=0, **options)
        return model

    return train


def everything(data: RatingData) -> RatingBatch:
    return data.history.rows(0, len(data.history))


def rmse(model: Any, data: RatingData) -> float:
    rows = data.test.rows(0, len(data.test))
    with torch.no_grad():
        return float((model(rows) - rows.rating).square().mean().sqrt())


def hit_rate(model: Any, data: RatingData, k: int = 5) -> float:
    """Return the fraction of users whose only test item is among the top k of the items new to them."""
    user, item = torch.from_numpy(data.test.user).long(), torch.from_numpy(data.test.item).long()
    with torch.no_grad():
        scores = model.score_items(torch.arange(data.n_users)).double().clone()
    scores[data.train.user, data.train.item] = -torch.inf
    return float((scores.topk(k).indices[user] == item[:, None]).any(1).double().mean())


# The head.


def sides(head: Head, n_users: int = 5, n_items: int = 7) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    nn.init.normal_(head.weight)
    of_user, of_item = torch.randn(n_users, head.width), torch.randn(n_items, head.width)
    offset = torch.randn(n_items, 1)
    return head.project_users(of_user), head.project_items(of_item, offset), of_user, of_item, offset


@pytest.mark.parametrize("hidden", [[], [6], [6, 4]])
def test_pairs_have_the_same_scores_as_among_all_pairs(hidden: list[int]) -> None:
    head = Head(n_factors=3, hidden=hidden, dropout=0.0)
    users, items, *_ = sides(head)
    crossed = head.score_all_pairs(users, items)
    assert crossed.shape == (5, 7)
    torch.testing.assert_close(head.score_pairs(users[:, None], items[None]), crossed)
    torch.testing.assert_close(head.score_pairs(users, items[:5]), crossed.diagonal())


def test_without_layers_the_head_is_matrix_factorisation() -> None:
    head = Head(n_factors=3, hidden=[], dropout=0.0)
    users, items, of_user, of_item, offset = sides(head)
    assert (head.width, head.projected_width) == (3, 3)
    torch.testing.assert_close(head.score_all_pairs(users, items), of_user * head.weight @ of_item.T + offset[:, 0])


def test_the_split_first_layer_equals_one_layer_on_both_inputs() -> None:
    head = Head(n_factors=2, inputs=4, hidden=[6, 3], dropout=0.0)
    users, items, of_user, of_item, offset = sides(head, 7, 7)
    whole = nn.Linear(8, 6)
    whole.weight.data = torch.cat([head.of_user.weight, head.of_item.weight], dim=1)
    whole.bias.data = head.of_user.bias.data
    mlp = head.rest(whole(torch.cat([of_user[:, 2:], of_item[:, 2:]], dim=1)))
    product = (of_user[:, :2] * head.weight * of_item[:, :2]).sum(1, keepdim=True)
    torch.testing.assert_close(head.score_pairs(users, items), (product + mlp + offset)[:, 0])


# Objectives.


class Losses(Callback):
    """The training loss of each epoch."""

    def __init__(self) -> None:
        self.of_epoch: list[float] = []

    def on_train_epoch_end(self, trainer: Any, *_: Any) -> None:
        self.of_epoch.append(float(trainer.callback_metrics["train/loss"]))


@pytest.mark.parametrize("objective", ["mse", "mae", "bpr", "softmax"])
@pytest.mark.parametrize("name", ["ncf", *WITH_CONTENT])
def test_every_objective_is_learned(data: RatingData, trained: Any, name: str, objective: str) -> None:
    losses = Losses()
    settings = [f"objective={objective}", "negatives=4", "hidden=[8]", "training.epochs=4"]
    trained(data, name, *settings, callbacks=[losses])
    assert np.isfinite(losses.of_epoch).all()
    assert losses.of_epoch[-1] < losses.of_epoch[0]


@pytest.mark.parametrize("name", ["ncf", "hybrid"])
def test_ratings_are_learned_beyond_the_offsets(data: RatingData, trained: Any, fit: Any, name: str) -> None:
    offsets = Bias(damping_user=5.0, damping_item=5.0)
    fit(offsets, data, limit_val_batches=0)
    model = trained(data, name, "hidden=[]", "training.epochs=15", "training.lr_head=1e-2")
    assert rmse(model, data) < 0.93 * rmse(offsets, data)


@pytest.mark.parametrize("objective", ["bpr", "softmax"])
@pytest.mark.parametrize("name", ["ncf", "hybrid"])
def test_ranking_is_learned_beyond_popularity(
    world: Callable[..., RatingData], trained: Any, fit: Any, name: str, objective: str
) -> None:
    held_out = world("split=per_user", "split.test=1", "split.val=0")
    popularity = Popularity(damping=5.0)
    fit(popularity, held_out, limit_val_batches=0)
    settings = ["hidden=[]", f"objective={objective}", "reg=0.01", "training.epochs=12"]
    settings += ["negatives=8", "training.lr_head=1e-2"] if name == "ncf" else ["negatives=32", "training.lr_head=3e-3"]
    model = trained(held_out, name, *settings)
    assert hit_rate(model, held_out) > 1.15 * hit_rate(popularity, held_out)
    rows = held_out.test.rows(0, len(held_out.test))
    torch.testing.assert_close(model(rows), model.baseline(rows.user, rows.item))


def test_users_without_a_training_row_are_predicted_from_their_given_history(
    world: Callable[..., RatingData], trained: Any
) -> None:
    new_people = world("split=whole_users", "split.val=0")
    model = trained(new_people, "profile_mlp", "training.epochs=20", "training.lr_head=3e-3", "dropout=0")
    rows = new_people.test.rows(0, len(new_people.test))
    unknown = rows._replace(user=torch.full_like(rows.user, -1))
    errors = [
        float((predicted.detach() - rows.rating).square().mean().sqrt())
        for predicted in (model(rows), model.baseline(rows.user, rows.item), model.baseline(unknown.user, rows.item))
    ]
    assert errors == sorted(errors)
    assert errors[0] < 0.97 * errors[1]


def test_the_published_profile_learns_from_content_and_ratings_alone(data: RatingData, trained: Any) -> None:
    published = ["pooling=sum", "weight=rating", "damping_user=1e9", "damping_item=1e9"]
    model = trained(data, "profile_mlp", *published, "training.epochs=12", "training.batch_size=128")
    assert float(model.baseline.user.abs().max() + model.baseline.item.abs().max()) < 1e-4
    assert rmse(model, data) < 0.97 * data.test.rating.std()


# The sampled softmax.


def test_log_share_is_the_probability_of_being_a_candidate(data: RatingData, trained: Any) -> None:
    own, negatives = 64, 16
    model = trained(data, "ncf", "objective=softmax", f"training.batch_size={own}", f"negatives={negatives}")
    batches = list(ShuffledInteractions(data.train, rows=own, seed=1, epoch=lambda: 0, whole_users=False))
    in_batches = torch.cat([batch.item for batch in batches]).bincount(minlength=data.n_items)
    drawn = negatives * len(batches)
    chance = (in_batches + drawn / data.n_items) / (len(data.train) + drawn)
    torch.testing.assert_close(model.log_share.exp(), chance, rtol=0.01, atol=0)
    assert float(model.log_share.exp().sum()) == pytest.approx(1)


def test_items_of_a_user_are_no_negatives(data: RatingData, trained: Any) -> None:
    model = trained(data, "ncf", "objective=softmax", "negatives=0")
    items = model.item_table

    def loss(user: list[int], item: list[int]) -> float:
        batch = RatingBatch(torch.tensor(user), torch.tensor(item), torch.ones(3))
        with torch.no_grad():
            distinct, own = batch.item.unique(return_inverse=True)
            step = Step(batch, model.user_table[batch.user], items[batch.item], distinct, items[distinct], own, own[:0])
            return float(model.softmax(step))

    assert loss([0, 1, 2], [8, 8, 8]) == pytest.approx(0)
    assert loss([5, 5, 5], [7, 8, 9]) == pytest.approx(0)
    assert loss([0, 1, 2], [8, 8, 9]) > 0.1


# Histories.


def changed(rows: RatingBatch, place: int) -> RatingBatch:
    rating = rows.rating.clone()
    rating[place] += 3
    return rows._replace(rating=rating)


def users_of_rows(model: Any, rows: RatingBatch) -> Tensor:
    """Return the projected user of every row, if these rows are all histories."""
    if hasattr(model, "history_sums"):
        weight = model.weights(rows, model.baseline.user[rows.user])
        model.history_sums = model.profile_sums(rows, weight, model.n_users + 1)
    return project(model, rows)


def project(model: Any, rows: RatingBatch) -> Tensor:
    """Return the projected user of every row."""
    with torch.no_grad():
        return model.project_batch(rows, *rows.item.unique(return_inverse=True))[1]


@pytest.mark.parametrize("name", WITH_CONTENT)
def test_a_rating_does_not_affect_its_own_prediction(data: RatingData, trained: Any, name: str) -> None:
    model = trained(data, name)
    rows, place = everything(data), 40
    before, after = users_of_rows(model, rows), users_of_rows(model, changed(rows, place))
    torch.testing.assert_close(after[place], before[place], rtol=1e-4, atol=1e-5)
    same_user = rows.user == rows.user[place]
    moved = (after - before).abs().amax(1) > 1e-3
    same_user[place] = False
    assert moved[same_user].all()
    assert not moved[~same_user].any()


def test_a_row_outside_the_history_uses_the_whole_history(data: RatingData, trained: Any) -> None:
    """Hybrid: for a further row of a user, the projected user is the one used for ranking."""
    model = trained(data, "hybrid")
    user = 5
    start, stop = data.history.indptr[user : user + 2]
    rows = data.history.rows(start, stop)
    item = np.setdiff1d(np.arange(data.n_items), rows.item)[0]
    further = RatingBatch(*(torch.cat([column, column[:1]]) for column in rows))
    further.item[-1] = int(item)
    torch.testing.assert_close(project(model, further)[-1], model.user_table[user], rtol=1e-4, atol=1e-5)


def test_leaving_a_rating_out_equals_a_history_without_it(data: RatingData, trained: Any) -> None:
    """Profile MLP: the projected user of a row is that of a new user with the same history without the row."""
    model = trained(data, "profile_mlp", "weight=rating")
    rows = data.history.rows(0, int(data.history.indptr[1]))
    place = 2
    without = RatingBatch(*(torch.cat([column[:place], column[place + 1 :]]) for column in rows))
    with torch.no_grad():
        side = project(model, rows)[place]
        offset = model.baseline.new_user_offsets(without, 1, model.damping_user)
        torch.testing.assert_close(model.scores(side[None], model.baseline.mean + offset), model.fold_in(without, 1))


@pytest.mark.parametrize("name", WITH_CONTENT)
def test_the_same_history_gives_the_same_scores(data: RatingData, trained: Any, name: str) -> None:
    model = trained(data, name)
    if name == "hybrid":
        with torch.no_grad():
            model.user_factors.zero_()
            model.item_table, model.user_table = model.project_all()
    rows = data.history.rows(0, int(data.history.indptr[20]))
    torch.testing.assert_close(model.fold_in(rows, 20), model.score_items(torch.arange(20)), rtol=1e-4, atol=1e-4)


# Titles.


@pytest.mark.parametrize("name", WITH_CONTENT)
def test_content_is_centred_and_scaled_on_training_titles(new_titles: RatingData, trained: Any, name: str) -> None:
    model = trained(new_titles, name)
    known = np.unique(new_titles.train.item)
    assert len(known) < new_titles.n_items
    torch.testing.assert_close(model.content[known].mean(0), torch.zeros_like(model.centre), rtol=0, atol=1e-5)
    assert float(model.content[known].square().sum(1).mean()) == pytest.approx(1, rel=1e-4)
    assert model.content[:-1].mean(0).abs().max() > 1e-3
    assert not model.content[-1].any()


def test_an_unrated_title_depends_on_its_content_only(new_titles: RatingData, trained: Any) -> None:
    model = trained(new_titles, "hybrid")
    known = np.unique(new_titles.train.item)
    new = np.setdiff1d(np.arange(new_titles.n_items), known)
    with torch.no_grad():
        model.item_factors += 1
        model.item_offset += 1
        other_ids, _ = model.project_all()
        of_new, of_known = (other_ids - model.item_table)[new], (other_ids - model.item_table)[known]
        model.content[new] *= 2
        other_content, _ = model.project_all()
    assert not of_new.any()
    assert of_known.all(dim=1).all()
    assert (other_content - other_ids)[new].any(dim=1).all()


@pytest.mark.parametrize("id_dropout", [0.0, 0.5])
def test_titles_with_hidden_ids_are_represented_by_content(data: RatingData, trained: Any, id_dropout: float) -> None:
    model = trained(data, "hybrid", f"id_dropout={id_dropout}")
    with torch.no_grad():
        shown = model.item_vectors()[0][:-1]
        model.train()
        in_training = model.item_vectors()[0][:-1]
        model.eval()
        model.known.zero_()
        alone = model.item_vectors()[0][:-1]
    is_shown = (in_training == shown).all(1)
    is_hidden = (in_training == alone).all(1)
    assert (is_shown ^ is_hidden).all()
    assert float(is_hidden.double().mean()) == pytest.approx(id_dropout, abs=0.2 * bool(id_dropout))


def test_provenance_reports_the_coverage_of_branches(data: RatingData, trained: Any) -> None:
    seen = trained(data, "hybrid").provenance()["branches"]["facts"]
    assert (seen["titles"], seen["with_facts"]) == (data.n_items, data.n_items)


# Checkpoints.


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ncf", ["objective=softmax", "negatives=8", "hidden=[8]"]),
        ("hybrid", ["hidden=[8]", "dropout=0.1"]),
        ("profile_mlp", []),
    ],
)
def test_resuming_gives_the_uninterrupted_result(
    data: RatingData, fit: Any, tmp_path: Path, name: str, settings: list[str]
) -> None:
    def model() -> Any:
        torch.manual_seed(5)
        return made(name, "training.batch_size=512", "training.schedule=constant", *settings)

    whole, resumed = model(), model()
    fit(whole, data, epochs=4, seed=5, limit_val_batches=0)
    fit(model(), data, epochs=2, seed=5, limit_val_batches=0).save_checkpoint(tmp_path / "half.ckpt")
    fit(resumed, data, epochs=4, seed=5, resume=tmp_path / "half.ckpt", limit_val_batches=0)
    for key, wanted in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[key], wanted, rtol=0, atol=0, msg=key)


# Settings.


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("ncf", "objective=warp", "objective='warp': expected one of mse, mae, bpr, softmax"),
        ("ncf", "reg=-1", "reg=-1: expected a number >= 0"),
        ("ncf", "objective=bpr negatives=0", "negatives=0: objective=bpr"),
        ("hybrid", "dropout=0.5", r"dropout=0.5: hidden=\[\]"),
        ("hybrid", "id_dropout=1.0", "id_dropout=1.0: expected a number >= 0 and < 1"),
        ("profile_mlp", "hidden=[]", r"hidden=\[\]: expected a list of length >= 1"),
        ("profile_mlp", "pooling=max", "pooling='max': expected one of sum, mean, root"),
    ],
)
def test_invalid_settings_are_refused(name: str, wrong: str, message: str) -> None:
    with pytest.raises(Exception, match=message) as raised:
        made(name, *wrong.split())
    assert isinstance(raised.value.__cause__, UserError)


# The cost of a step.


@pytest.mark.parametrize("name", ["ncf", "hybrid"])
def test_a_step_has_gradients_only_for_the_users_and_items_of_its_batch(data: RatingData, fit: Any, name: str) -> None:
    class Gradients(Callback):
        n_rows: ClassVar[list[int]] = []

        def on_after_backward(self, trainer: Any, model: Any) -> None:
            for table in (model.user_factors, model.item_factors, model.item_offset):
                self.n_rows.append(table.grad._nnz() if table.grad.is_sparse else len(table))

    fit(made(name, "training.batch_size=32"), data, callbacks=[Gradients()], limit_train_batches=3)
    assert len(Gradients.n_rows) == 3 * 3
    assert max(Gradients.n_rows) <= 48 < min(data.n_users, data.n_items)


@pytest.mark.parametrize("clip", ["null", "0.05"])
@pytest.mark.parametrize("name", ["ncf", "hybrid"])
def test_sparse_gradients_train_the_same_model_as_dense_ones(
    data: RatingData, trained: Any, name: str, clip: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradients are dense on a GPU and in several processes, where rows of a batch are not made distinct either."""
    models = []
    for _ in range(2):
        torch.manual_seed(5)
        models.append(trained(data, name, f"training.clip={clip}"))
        monkeypatch.setattr(RatingNetwork, "has_sparse_gradients", False)
    of_rows, of_table = models
    for key, wanted in of_table.state_dict().items():
        torch.testing.assert_close(
            of_rows.state_dict()[key], wanted, rtol=1e-3, atol=1e-3, msg=lambda message, key=key: f"{key}: {message}"
        )
    assert not of_rows.user_factors[-1].any()


@pytest.mark.parametrize(
    ("name", "device", "precision"),
    [("ncf", "cuda", "high"), ("ncf", "cpu", "highest"), ("als", "cuda", "highest"), ("ease", "cuda", "highest")],
)
def test_only_networks_on_a_gpu_use_tensorfloat(
    data: RatingData, name: str, device: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model sets the precision of the whole process, so that one that follows a network in a sweep must reset it."""
    monkeypatch.setattr("anirec.models.base.available_memory", lambda device: 1e12)
    strategy = type("Strategy", (), {"root_device": torch.device(device)})
    model = made(name)
    model._trainer = type("Trainer", (), {"datamodule": data, "strategy": strategy, "num_devices": 1})
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high" if precision == "highest" else "highest")
        model.setup("fit")
        assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize(("algorithm", "measure"), [("norm", Tensor.norm), ("value", lambda all_: all_.abs().max())])
def test_gradients_of_tables_are_clipped_with_the_others(
    data: RatingData,
    fit: Any,
    algorithm: str,
    measure: Callable[[Tensor], Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clip, found = RatingNetwork.configure_gradient_clipping, []

    def clip_and_measure(model: Any, *args: Any, **settings: Any) -> None:
        clip(model, *args, **settings)
        gradients = [parameter.grad for parameter in model.parameters()]
        assert any(gradient.is_sparse for gradient in gradients)
        found.append(float(measure(torch.cat([gradient.to_dense().flatten() for gradient in gradients]))))

    monkeypatch.setattr(RatingNetwork, "configure_gradient_clipping", clip_and_measure)
    limit = {"norm": 1e-2, "value": 1e-4}[algorithm]
    clipping = {"gradient_clip_val": limit, "gradient_clip_algorithm": algorithm}
    fit(made("ncf", "training.batch_size=64"), data, limit_train_batches=3, **clipping)
    assert found == pytest.approx([limit] * 3, rel=1e-3)
