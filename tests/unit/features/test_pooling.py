"""Pooling never sees what is absent."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from anirec.features.branch import AttentionPool, last_token, mean_pool
from anirec.features.encoded import InputRows, members_of

PRESENT = torch.tensor([[True, False, True], [False, False, False], [True, True, True]])


def test_absent_members_change_nothing_and_nobody_gives_zeros() -> None:
    torch.manual_seed(0)
    values = torch.randn(3, 3, 8)
    poisoned = torch.where(PRESENT.unsqueeze(2), values, 1e4)
    attention = AttentionPool(8)
    torch.nn.init.normal_(attention.score[2].weight)
    for pool in (attention, mean_pool):
        pooled = pool(poisoned, PRESENT)
        torch.testing.assert_close(pooled, pool(values, PRESENT))
        assert not pooled[1].any()
        torch.testing.assert_close(pooled[0], pool(values[:1, [0, 2]], PRESENT[:1, [0, 2]])[0])
    torch.testing.assert_close(attention.weights(values, PRESENT).sum(1), torch.tensor([1.0, 0.0, 1.0]))


def test_attention_starts_as_the_mean_and_learns_to_choose() -> None:
    torch.manual_seed(0)
    attention = AttentionPool(4)
    values, present = torch.randn(64, 5, 4), torch.rand(64, 5) < 0.8
    torch.testing.assert_close(attention(values, present), mean_pool(values, present))
    wanted = torch.where(present, values[:, :, 0], -9).argmax(1)
    target = values[torch.arange(64), wanted] * present.any(1, keepdim=True)
    optimiser = torch.optim.Adam(attention.parameters(), 0.05)
    losses = []
    for _ in range(100):
        loss = (attention(values, present) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def test_last_token_is_the_last_real_one() -> None:
    values = torch.arange(12.0).reshape(2, 6, 1)
    present = torch.tensor([[True, True, False, False, False, False], [False, False, False, True, True, True]])
    assert last_token(values, present).flatten().tolist() == [1, 11]


@given(st.lists(st.lists(st.one_of(st.none(), st.integers(0, 5)), max_size=4), min_size=1, max_size=8), st.data())
def test_every_member_finds_its_input(rows: list[list[int | None]], data: st.DataObject) -> None:
    places, inputs = InputRows.of(rows)
    index = np.array(data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1)), np.int64)
    numbers, place = places.batch(index)
    assert len(set(numbers)) == len(numbers)
    members = members_of(torch.tensor([[float(inputs[number])] for number in numbers]).reshape(-1, 1), place)
    width = members.present.shape[1]
    for row, values, present in zip(index, members.values, members.present, strict=True):
        expected = rows[row] + [None] * (width - len(rows[row]))
        assert [int(v) if p else None for v, p in zip(values, present, strict=True)] == expected
