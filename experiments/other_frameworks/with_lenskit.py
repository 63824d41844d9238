"""Lists and predictions of LensKit's item-item CF for a split that `anirec export split` has written.

python with_lenskit.py ROWS lists.csv predictions.csv
"""

import sys
from pathlib import Path

import pandas as pd
from lenskit.batch import predict, recommend
from lenskit.data import ItemListCollection, from_interactions_df
from lenskit.knn import ItemKNNScorer
from lenskit.pipeline import predict_pipeline, topn_pipeline

rows, lists_file, predictions_file = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
parts = {path.stem: pd.read_csv(path) for path in rows.glob("*.csv")}
known = pd.concat([parts["train"], parts["unrated"]])[["user_id", "item_id"]]  # seen titles, rated or not
test = parts["test"][["user_id", "item_id", "rating"]]

pipeline = topn_pipeline(ItemKNNScorer(max_nbrs=20, feedback="implicit"), n=11)  # one more: validation is left out
pipeline.train(from_interactions_df(known))
lists = recommend(pipeline, test.user_id.unique().tolist(), n_jobs=1).to_df()
seen = parts["val"][["user_id", "item_id"]].assign(is_seen=True)
lists = lists.merge(seen, on=["user_id", "item_id"], how="left")
lists = lists[lists.is_seen.isna()].groupby("user_id").head(10)
lists[["user_id", "item_id", "rank"]].to_csv(lists_file, index=False)

pipeline = predict_pipeline(ItemKNNScorer(max_nbrs=20, feedback="explicit"))
pipeline.train(from_interactions_df(parts["train"][["user_id", "item_id", "rating"]]))
pairs = ItemListCollection.from_df(test.drop(columns="rating"), ["user_id"])
predictions = predict(pipeline, pairs, n_jobs=1).to_df()
predictions = predictions.rename(columns={"score": "prediction"})[["user_id", "item_id", "prediction"]]
mean = parts["train"].rating.mean()  # where LensKit predicts nothing
predictions.fillna({"prediction": mean}).to_csv(predictions_file, index=False)
