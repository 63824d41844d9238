import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from anirec.data.ratings.filters import k_core

PAIRS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=60)


@given(pairs=PAIRS, min_user=st.integers(1, 4), min_item=st.integers(1, 4))
def test_what_remains_is_the_largest_core(pairs: list[tuple[int, int]], min_user: int, min_item: int) -> None:
    user, item = np.array(pairs, dtype=np.int32).T
    kept = k_core(user, item, min_user=min_user, min_item=min_item)
    remaining = [pair for pair, keep in zip(pairs, kept, strict=True) if keep]
    # Naive: drop one offending row at a time.
    core = list(pairs)
    while True:
        users, items = [u for u, _ in core], [i for _, i in core]
        bad = next((p for p in core if users.count(p[0]) < min_user or items.count(p[1]) < min_item), None)
        if bad is None:
            break
        core.remove(bad)
    assert sorted(remaining) == sorted(core)
