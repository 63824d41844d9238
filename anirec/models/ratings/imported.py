"""Predictions and lists of another framework, evaluated like those of any model. `anirec import` configures it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from anirec.data.ratings.interactions import Interactions, RatingBatch, Vocabulary
from anirec.data.readers.table_files import TextFormat, column_names, scan_table
from anirec.errors import UserError
from anirec.models.base import RatingModel
from anirec.models.checkpoint import check_indices, check_rows, check_shape
from anirec.models.one_pass import MemoryBased
from anirec.notices import warn

if TYPE_CHECKING:
    from anirec.data.ratings.datamodule import RatingData

# Names that frameworks give to the columns, ours first.
USER, ITEM = ("user_id", "user", "uid"), ("item_id", "item", "iid")
PREDICTION = ("prediction", "predicted_rating", "est", "score")
RANK, SCORE = ("rank",), ("score", "prediction", "weight")


class Imported(MemoryBased, RatingModel):
    """Predict what a file says, and rank what a file lists.

    A file of predictions has a row for each test rating, and no others: user_id, item_id, prediction in the unit of the
    data. A file of lists has the rows user_id, item_id in the order of the ranks of each user, or with a column rank (1
    is best) or score (highest is best); every user with a test rating has a list, which holds no title that the user
    has seen: none of the exported train, val, given, unrated and excluded. Metrics @10 read the first ten titles. The
    files are CSV, JSON lines or parquet. Names of columns that Surprise, LensKit and RecTools use are read, too.

    Args:
        predictions: Path of the predictions, or null.
        lists: Path of the lists, or null.
        content: SHA-256 of the files, so that runs of other files are other experiments.

    Raises:
        UserError: In training: a file lacks rows of the split, or has others, unknown ids or duplicates.
    """

    uses_seed: ClassVar[bool] = False
    short = ""  # a sentence about short lists
    ranks_by_rating = False
    pair: Tensor
    prediction: Tensor
    list_start: Tensor
    list_item: Tensor

    def __init__(self, *, predictions: str | None, lists: str | None, content: str) -> None:
        super().__init__()
        self.predictions, self.lists, self.content = predictions, lists, content
        self.predicts_ratings = predictions is not None

    def allocate(self) -> None:
        super().allocate()
        for name in ("pair", "prediction", "list_start", "list_item"):
            self.register_buffer(name, torch.empty(0))

    def check_tensors(self, n_items: int) -> None:
        check_shape("prediction", self.prediction, self.pair)
        if len(self.list_start):
            check_rows("list_start", self.list_start, self.list_item)
            check_shape("list_start", self.list_start, self.list_start.new_empty(self.n_users + 1))
        check_indices("list_item", self.list_item, n_items)

    def solve(self) -> None:
        data: RatingData = self.data
        if self.predictions is not None:
            user, item, prediction = read_predictions(Path(self.predictions), data)
            self.pair = torch.from_numpy(user.astype(np.int64) * self.n_items + item)
            self.prediction = torch.from_numpy(prediction.copy())
        if self.lists is not None:
            user, item = read_lists(Path(self.lists), data)
            self.list_start = torch.from_numpy(np.searchsorted(user, np.arange(self.n_users + 1)))
            self.note_short_lists(np.unique(data.test.user))
            self.list_item = torch.from_numpy(item.astype(np.int64))

    def note_short_lists(self, users: NDArray[np.int32]) -> None:
        """Warn if lists of users, ascending (U,), are shorter than the longest list that is evaluated."""
        k = max(getattr(callback, "k", 0) for callback in self.trainer.callbacks)  # type: ignore[attr-defined]
        n_u = self.list_start.diff().numpy()[users]
        if short := int((n_u < k).sum()):
            first = users[np.flatnonzero(n_u < k)[0]]
            self.short = (
                f"{Path(str(self.lists)).name}: {short:,} of {len(users):,} lists have fewer than {k} titles, such as "
                f"that of user {self.data.users[first]}; the missing ranks count as misses."
            )
            warn(self.short)

    def forward(self, batch: RatingBatch) -> Tensor:
        if not len(self.pair):
            return torch.full_like(batch.rating, torch.nan)
        wanted = batch.user * self.n_items + batch.item
        place = torch.searchsorted(self.pair, wanted).clamp_max(len(self.pair) - 1)
        known = torch.where(self.pair[place] == wanted, self.prediction[place], torch.nan)
        return self.rating_scale.to_points(known)

    def score_items(self, users: Tensor) -> Tensor:
        scores_bi = torch.full((len(users), self.n_items), -torch.inf, device=users.device)
        for row, user in enumerate(users.tolist()):
            if user >= 0 and len(self.list_start):
                items = self.list_item[self.list_start[user] : self.list_start[user + 1]]
                scores_bi[row, items] = -torch.arange(1, len(items) + 1, dtype=scores_bi.dtype, device=users.device)
        return scores_bi

    def provenance(self) -> dict[str, Any]:
        """Return no time of training: the model was trained elsewhere."""
        return {**super().provenance(), "fit_seconds": None, "compile_seconds": None}

    @property
    def findings(self) -> list[str]:
        files = ", ".join(Path(path).name for path in (self.predictions, self.lists) if path)
        return [f"Results of another framework, imported from {files}.", *([self.short] if self.short else [])]


def read_predictions(
    path: Path, data: "RatingData"
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]:
    """Return users, items and predictions of the test rows, sorted by user and item.

    Raises:
        UserError: The rows are not those of the test set, or a prediction is no finite number.
    """
    table = read_pairs(path, data, {"prediction": PREDICTION}, required=True)
    value = table["prediction"].cast(pl.Float64, strict=False)
    refuse(path, table, ~value.is_finite().fill_null(False), "the prediction is no finite number", cell="prediction")
    value = value.cast(pl.Float32)
    refuse(path, table, ~value.is_finite(), "the prediction is too large for single precision", cell="prediction")
    outside = value.filter((value < data.scale.low) | (value > data.scale.high))
    if 2 * len(outside) > len(value):
        low, high = value.to_numpy().min(), value.to_numpy().max()
        raise UserError(
            f"{path}: {len(outside):,} of {len(value):,} predictions are outside the scale of the ratings, "
            f"{data.scale}; they go from {low:g} to {high:g}. Expected the unit of test.csv"
        )
    test = pair_numbers(data.test, data.n_items)
    refuse(
        path, table, ~table["pair"].is_in(test), "not a row of the test set", "Export the split and predict test.csv"
    )
    missing = test.filter(~test.is_in(table["pair"].implode()))
    if len(missing):
        user, item = divmod(missing[0], data.n_items)
        raise UserError(
            f"{path}: {len(missing):,} of {len(test):,} test rows have no prediction, such as user "
            f"{data.users[user]}, title {data.items['item_id'][item]}"
        )
    order = table["pair"].arg_sort()
    return tuple(  # type: ignore[return-value]
        column.gather(order).to_numpy() for column in (table["user"], table["item"], value)
    )


def read_lists(path: Path, data: "RatingData") -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return users and items of the lists, by user and rank.

    Raises:
        UserError: A test user has no list, or a list has a title that its user has seen.
    """
    table = read_pairs(path, data, {"rank": RANK, "score": SCORE}, required=False)
    seen = [data.train, data.given, data.val, data.unrated, data.excluded]
    known = pl.concat([pair_numbers(rows, data.n_items) for rows in seen]).unique()
    refuse(
        path,
        table,
        table["pair"].is_in(known.implode()),
        "the user has seen this title: a list holds no title of train, val, given, unrated or excluded",
    )
    users = np.unique(data.test.user)
    lacking = users[~np.isin(users, table["user"].to_numpy())]
    if len(lacking):
        raise UserError(
            f"{path}: {len(lacking):,} of {len(users):,} users with test ratings have no list, such as user "
            f"{data.users[lacking[0]]}"
        )
    order = pl.Series(np.arange(len(table)))
    for name, sign in (("rank", 1), ("score", -1)):
        if name in table.columns:
            order = table[name].cast(pl.Int64, strict=False)  # float64 does not distinguish whole numbers above 2^53
            if order.has_nulls():
                order = table[name].cast(pl.Float64, strict=False)
            refuse(path, table, ~order.is_finite().fill_null(False), f"the {name} is no finite number", cell=name)
            order = order * sign
            break
    if "rank" in table.columns:
        is_second = ~pl.struct(table["user"], order.alias("order"), eager=True).is_first_distinct()
        refuse(path, table, is_second, "the user has another title with this rank", cell="rank")
    table = table.with_columns(order=order).sort("user", "order", maintain_order=True)
    return table["user"].to_numpy(), table["item"].to_numpy()


def read_pairs(path: Path, data: "RatingData", further: dict[str, tuple[str, ...]], *, required: bool) -> pl.DataFrame:
    """Return the rows of a file: line, user_id, item_id, user and item (indices), pair (number) and further columns.

    Raises:
        UserError: A column is missing, or a row is unreadable, has an unknown id, or occurs twice.
    """
    there = column_names(path, TextFormat())
    found = {ours: next((name for name in names if name in there), None) for ours, names in further.items()}
    ids = {"user_id": next((name for name in USER if name in there), None)}
    ids["item_id"] = next((name for name in ITEM if name in there), None)
    if absent := [ours for ours, name in (ids | (found if required else {})).items() if name is None]:
        raise UserError(f"{path}: no column {', '.join(absent)}; the columns are {', '.join(there)}")
    columns = {ours: name for ours, name in (ids | found).items() if name is not None}
    table = scan_table(path, columns.values(), TextFormat(), small=True, key="anirec import").collect()
    refuse(path, table, table["reason"].is_not_null(), str(table["reason"].drop_nulls().first()))
    table = table.select("line", **{ours: pl.col(name) for ours, name in columns.items()})
    if not len(table):
        raise UserError(f"{path}: the file has no rows")
    for name, vocabulary in (("user", data.user_vocabulary), ("item", data.item_vocabulary)):
        table = table.with_columns(pl.Series(name, encode(vocabulary, table[f"{name}_id"])))
        what = "user" if name == "user" else "title"
        advice = "The ids are those of the exported split"
        if not vocabulary.ids.dtype.is_integer() and vocabulary.ids.str.starts_with("0").any():
            advice += "; read them as text, since some begin with 0"
        refuse(path, table, table[name] < 0, f"an unknown {what}", advice)
    table = table.with_columns(pair=pl.col("user").cast(pl.Int64) * data.n_items + pl.col("item"))
    refuse(path, table, ~table["pair"].is_first_distinct(), "the same user and title as in an earlier row")
    return table


def encode(vocabulary: Vocabulary, raw: pl.Series) -> NDArray[np.int32]:
    """Return the indices of ids that are given as text, (n,); -1 for unknown ones."""
    text = raw.str.strip_chars()
    if vocabulary.ids.dtype.is_integer():
        text = text.str.strip_suffix(".0")  # as pandas writes whole numbers with gaps
    return vocabulary.encode(text.cast(vocabulary.ids.dtype, strict=False))


def pair_numbers(rows: Interactions, n_items: int) -> pl.Series:
    """Return the number user x n_items + item of each row, int64 (n,)."""
    return pl.Series(rows.user.astype(np.int64) * n_items + rows.item)


def refuse(
    path: Path, table: pl.DataFrame, is_wrong: pl.Series, problem: str, advice: str = "", *, cell: str = ""
) -> None:
    """Raise a UserError that names the number of wrong rows and the first of them, if there are any.

    Args:
        path: The file.
        table: Its rows.
        is_wrong: Which rows are wrong, bool.
        problem: What is wrong with them.
        advice: What to do.
        cell: A column whose cell is quoted beside the ids.
    """
    wrong = table.filter(is_wrong)
    if len(wrong):
        row = wrong.row(0, named=True)
        cells = ", ".join(f"{name} {row[name]}" for name in ("user_id", "item_id", cell) if name in row)
        raise UserError(
            f"{path}, line {row['line']} ({cells}): {problem}; {len(wrong):,} of {len(table):,} rows"
            f"{'. ' + advice if advice else ''}"
        )
