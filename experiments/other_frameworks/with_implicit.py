"""Lists of implicit's ALS for a split that `anirec export split` has written.

python with_implicit.py ROWS lists.csv
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from implicit.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

rows, output = Path(sys.argv[1]), sys.argv[2]
parts = {path.stem: pd.read_csv(path) for path in rows.glob("*.csv")}
known = pd.concat([parts["train"], parts["unrated"]])  # seen titles, rated or not
seen = pd.concat([known, parts["val"]])  # a list holds none of these
users, items = pd.Index(seen.user_id.unique()), pd.Index(pd.concat(parts.values()).item_id.unique())


def matrix(table: pd.DataFrame, value: float) -> csr_matrix:
    place = users.get_indexer(table.user_id), items.get_indexer(table.item_id)
    return csr_matrix((np.full(len(table), value, np.float32), place), shape=(len(users), len(items)))


model = AlternatingLeastSquares(factors=256, regularization=30.0, alpha=5.0, iterations=5, random_state=1)
model.fit(matrix(known, 1.0))
wanted = parts["test"].user_id.unique()
place = users.get_indexer(wanted)
listed, _ = model.recommend(place, matrix(seen, 1.0)[place], N=10, filter_already_liked_items=True)
lists = pd.DataFrame(
    {"user_id": np.repeat(wanted, 10), "item_id": items[listed.ravel()], "rank": np.tile(np.arange(1, 11), len(wanted))}
)
lists.to_csv(output, index=False)
