"""Lists of RecTools' EASE for a split that `anirec export split` has written.

python with_rectools.py ROWS lists.csv
"""

import sys
from pathlib import Path

import pandas as pd
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import EASEModel

rows, output = Path(sys.argv[1]), sys.argv[2]
parts = {path.stem: pd.read_csv(path) for path in rows.glob("*.csv")}
known = pd.concat([parts["train"], parts["unrated"]])[["user_id", "item_id"]]  # seen titles, rated or not
known[Columns.Weight], known[Columns.Datetime] = 1.0, "2020-01-01"
data = Dataset.construct(known)

model = EASEModel(regularization=300.0).fit(data)
wanted = parts["test"].user_id.unique()
lists = model.recommend(wanted, data, k=11, filter_viewed=True)  # one more: the validation row is left out
seen = parts["val"][["user_id", "item_id"]].assign(is_seen=True)
lists = lists.merge(seen, on=["user_id", "item_id"], how="left")
lists = lists[lists.is_seen.isna()].groupby("user_id").head(10)
lists[["user_id", "item_id", "rank"]].to_csv(output, index=False)
