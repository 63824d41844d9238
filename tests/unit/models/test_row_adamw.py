"""RowAdamW: sparse gradients give the results of AdamW, and a step changes only the rows of its batch."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from anirec.models.training import RowAdamW, RowClock

N_ROWS, WIDTH, N_STEPS = 300, 4, 400
START = torch.randn(N_ROWS, WIDTH, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def rows_of(optimizer: AdamW, table: nn.Parameter, index: Tensor) -> Tensor:
    if not isinstance(optimizer, RowAdamW):
        return embedding(index, table)
    rows, place = index.unique(return_inverse=True)
    optimizer.catch_up(table, rows)
    return embedding(place, embedding(rows, table, sparse=True))


def trained(kind: type[AdamW], decay: float, *, save_at: int | None = None, n_steps: int = N_STEPS) -> Any:
    """Return a table, a weight and the optimiser after steps on few rows, some frequent and some never used."""
    table, weight = nn.Parameter(START.clone()), nn.Parameter(torch.ones(WIDTH, dtype=torch.float64))
    optimizer = kind([{"params": [table], "lr": 0.02, "weight_decay": decay}, {"params": [weight], "lr": 0.01}])
    schedule = LambdaLR(optimizer, lambda step: 1 - step / (2 * N_STEPS))
    random = torch.Generator().manual_seed(1)
    for step in range(n_steps):
        if step == save_at:
            saved = optimizer.state_dict()
            optimizer = kind([{"params": [table]}, {"params": [weight]}])
            optimizer.load_state_dict(saved)
            schedule.optimizer = optimizer
        index = (torch.rand(6, generator=random) ** 3 * (N_ROWS - 1)).long()
        target = torch.randn(6, WIDTH, generator=random, dtype=torch.float64)
        optimizer.zero_grad()
        (rows_of(optimizer, table, index) * weight - target).square().mean().backward()
        optimizer.step()
        schedule.step()
    return table, weight, optimizer


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_sparse_steps_match_adamw_on_the_whole_table(decay: float) -> None:
    table, weight, dense = trained(AdamW, decay)
    of_rows, of_weight, sparse = trained(RowAdamW, decay)
    assert (of_rows - table).abs().max() > 1e-3, "updates of rows without a gradient must be postponed"
    sparse.finish()
    assert (table - START).abs().mean() > 0.01
    torch.testing.assert_close(of_rows, table, rtol=0, atol=1e-3)
    torch.testing.assert_close((of_rows - table).abs().mean().item(), 0.0, rtol=0, atol=1e-6)
    torch.testing.assert_close(of_weight, weight, rtol=1e-5, atol=0)
    for name in ("exp_avg", "exp_avg_sq"):
        torch.testing.assert_close(sparse.state[of_rows][name], dense.state[table][name], rtol=1e-4, atol=1e-7)


def test_resuming_from_a_saved_state_matches_an_uninterrupted_run() -> None:
    whole, _, first = trained(RowAdamW, 0.1)
    resumed, _, second = trained(RowAdamW, 0.1, save_at=150)
    first.finish()
    second.finish()
    torch.testing.assert_close(resumed, whole, rtol=1e-4, atol=1e-6)


def test_a_step_changes_only_the_rows_of_its_batch() -> None:
    table, _, optimizer = trained(RowAdamW, 0.1, n_steps=50)
    before, moments = table.detach().clone(), optimizer.state[table]["exp_avg"].clone()
    index = torch.tensor([3, 200])
    rows_of(optimizer, table, index).sum().backward()
    optimizer.step()
    others = torch.ones(N_ROWS, dtype=torch.bool)
    others[index] = False
    assert torch.equal(table[others], before[others])
    assert torch.equal(optimizer.state[table]["exp_avg"][others], moments[others])
    assert (table != before)[index].all()


def test_rows_without_a_gradient_are_unchanged_without_decay() -> None:
    table, _, optimizer = trained(RowAdamW, 0.0)
    optimizer.finish()
    assert torch.equal(table[-1], START[-1])


def test_the_time_of_a_step_does_not_grow_with_the_number_of_steps() -> None:
    """A step changes the distances of the steps in the window only, and nothing is converted from a list."""
    clock = RowClock(10, 0, 0.9)
    for _ in range(3000):
        clock.tick(0.01, 0.1)
    before = clock.distance.copy()
    clock.tick(0.01, 0.1)
    is_changed = np.flatnonzero(clock.distance != before)
    assert is_changed.tolist() == list(range(3001 - clock.window, 3001))
    assert clock.window < 200
