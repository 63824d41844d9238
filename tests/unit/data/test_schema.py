"""The declared schema of the tidy tables."""

import polars as pl
import pytest

from anirec.data.schema import INTERACTIONS, ITEMS, TABLES, ContractError, check, check_values, ordered


def test_a_table_that_keeps_the_declaration_passes() -> None:
    rows = pl.DataFrame(
        {"user_id": [1], "item_id": ["Monster"], "rating": [9.0]}, schema_overrides={"rating": pl.Float32}
    )
    check(rows, INTERACTIONS, "interactions")
    check_values(rows.lazy(), INTERACTIONS, "interactions")
    assert ordered(rows, INTERACTIONS).equals(rows)


def test_all_breaches_are_reported_at_once() -> None:
    rows = pl.DataFrame({"user_id": [1], "rating": [9.0], "mood": ["good"]})
    with pytest.raises(ContractError) as error:
        check(rows, INTERACTIONS, "interactions")
    for breach in ("item_id is missing", "rating is Float64, not Float32", "mood is not declared"):
        assert breach in str(error.value)


@pytest.mark.parametrize("rating", [0.0, 11.0, float("nan")])
def test_a_rating_out_of_range_is_a_breach(rating: float) -> None:
    rows = pl.LazyFrame({"rating": [8.0, rating, None]}, schema={"rating": pl.Float32})
    with pytest.raises(ContractError, match="in 1 rows"):
        check_values(rows, INTERACTIONS, "interactions")


def test_null_where_none_may_be_is_a_breach() -> None:
    with pytest.raises(ContractError, match="title is null in 1 rows"):
        check_values(pl.LazyFrame({"title": ["Monster", None]}), ITEMS, "items")


def test_lists_are_never_null() -> None:
    rows = pl.DataFrame({"genres": [None, ["Drama"]], "item_id": [1, 2]})
    assert ordered(rows, ITEMS).to_dict(as_series=False) == {"item_id": [1, 2], "genres": [[], ["Drama"]]}


def test_every_column_says_what_it_means() -> None:
    assert all(column.meaning for columns in TABLES.values() for column in columns.values())
