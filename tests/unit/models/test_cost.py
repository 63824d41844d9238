"""Cost before work: what does not fit in memory is refused before it is allocated, and the message says what fits."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import anirec.memory
import anirec.models.base
from anirec.errors import UserError
from anirec.lightning import Trainer
from anirec.memory import available_memory
from anirec.models.cost import Cost, Counts, check_memory, most_that_fit, warn_if_long
from anirec.models.ratings.ease import EASE
from anirec.models.ratings.svd import SVD

from .conftest import N_ITEMS, N_USERS, Planted

FULL = Counts(110_000_000, n_users=325_000, n_items=100_000)


def ease() -> EASE:
    return EASE(reg=100.0, dropout=0.0, activity=0.0, popularity=0.0, unrated=1.0, damping_user=5.0, damping_item=5.0)


def trainer() -> Trainer:
    return Trainer(accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False)


def test_a_model_that_does_not_fit_is_refused_before_it_allocates(
    planted: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = Counts(len(planted.train_and_unrated), n_users=N_USERS, n_items=N_ITEMS)
    model, needed = ease(), ease().cost(counts).memory
    monkeypatch.setattr(anirec.models.base, "available_memory", lambda device: needed - 1)
    with pytest.raises(
        UserError, match=rf"EASE needs about .* for {N_USERS} users, {N_ITEMS} titles and .* rows, but "
    ):
        trainer().fit(model, datamodule=planted)
    assert not model.is_allocated
    assert not list(model.buffers())
    monkeypatch.setattr(anirec.models.base, "available_memory", lambda device: needed)
    trainer().fit(ease(), datamodule=planted)


def test_the_message_names_a_catalogue_and_a_model_that_fit() -> None:
    counts = replace(FULL, n_rows=10_000_000)
    with pytest.raises(UserError) as refused:
        check_memory("EASE", ease().cost, counts, 24e9, ease().instead)
    message = str(refused.value)
    needed = ease().cost(counts).memory
    assert needed > 40e9
    assert (
        f"EASE needs about {needed / 1e9:.1f} GB of memory for 325,000 users, 100,000 titles and 10,000,000" in message
    )
    assert "only 24.0 GB are available" in message
    assert ease().instead in message
    found = re.search(r"at most about ([\d,]+) titles \(dataset.min_item_ratings\)", message)
    assert found is not None
    n_items = int(found[1].replace(",", ""))
    assert n_items > 30_000
    assert ease().cost(replace(counts, n_items=n_items)).memory <= 24e9


def test_a_count_that_does_not_help_is_not_proposed() -> None:
    assert most_that_fit(lambda counts: Cost(memory=counts.n_items), Counts(10, n_items=1000), "n_rows", 500) == 0
    assert most_that_fit(lambda counts: Cost(memory=counts.n_items), Counts(10, n_items=1000), "n_items", 505) == 500
    assert most_that_fit(lambda counts: Cost(memory=counts.n_items), Counts(10, n_items=1000), "n_items", 99) == 0


def test_memory_of_ease_grows_with_the_square_of_the_items_and_of_svd_with_their_number() -> None:
    settings = {"lr": 0.03, "lr_decay": 0.9, "reg": 0.1, "reg_bias": 0.1, "init_std": 0.1}
    svd = SVD(n_factors=64, epochs=10, **settings)
    few, many = Counts(1000, n_users=10, n_items=20_000), Counts(1000, n_users=10, n_items=40_000)
    assert ease().cost(many).memory == pytest.approx(4 * ease().cost(few).memory, rel=0.01)
    assert ease().cost(many).operations == pytest.approx(8 * ease().cost(few).operations, rel=0.01)
    assert svd.cost(many).memory == pytest.approx(2 * svd.cost(few).memory, rel=0.01)
    assert svd.cost(many).checkpoint == pytest.approx(40_000 * 4 * 65, rel=0.01)


def test_long_training_is_announced(caplog: pytest.LogCaptureFixture) -> None:
    warn_if_long("SurpriseModel", 3 * 3600, FULL)
    warn_if_long("SVD", 100, FULL)
    assert caplog.messages == [
        "SurpriseModel will train for about 3 h on 325,000 users, 100,000 titles and 110,000,000 rows."
    ]


@pytest.mark.parametrize(
    ("line", "folder", "files"),
    [
        ("0::/job/step", "job", {"memory.max": "3000", "memory.current": "2500", "memory.stat": "inactive_file 400"}),
        (
            "4:cpu,memory:/job/step",
            "memory/job",
            {
                "memory.limit_in_bytes": "3000",
                "memory.usage_in_bytes": "2500",
                "memory.stat": "total_inactive_file 400",
            },
        ),
    ],
    ids=["version 2", "version 1"],
)
def test_a_control_group_limits_the_available_memory(
    line: str, folder: str, files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of a parent group counts too; what the kernel can reclaim is available."""
    monkeypatch.setattr(anirec.memory, "CONTROL_GROUPS", tmp_path)
    monkeypatch.setattr(anirec.memory, "MEMBERSHIP", tmp_path / "self")
    (tmp_path / "self").write_text(f"9:pids:/\n{line}\n")
    machine = available_memory()
    assert machine > 900
    (tmp_path / folder / "step").mkdir(parents=True)
    for name, text in files.items():
        (tmp_path / folder / name).write_text(text)
        (tmp_path / folder / "step" / name).write_text(
            "max" if name == "memory.max" else text.replace("3000", "9" * 18)
        )
    assert available_memory() == 900


def test_processes_share_the_main_memory(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    model: Any = ease()
    needed = model.cost(Counts(len(planted.train_and_unrated), n_users=N_USERS, n_items=N_ITEMS)).memory
    monkeypatch.setattr(anirec.models.base, "available_memory", lambda device: 1.5 * needed)
    strategy = type("Strategy", (), {"root_device": torch.device("cpu")})
    model._trainer = type("Two", (), {"datamodule": planted, "strategy": strategy, "num_devices": 2})
    with pytest.raises(UserError, match="needs about"):
        model.setup("fit")
