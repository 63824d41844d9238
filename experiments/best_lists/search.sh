#!/bin/sh
# Search the settings of every list model on mal_2016 with one budget: 6 trials or 60 CPU seconds, whichever ends first.
# The first trial has the model's defaults. A trial that is cut at the end of the budget does not count.
#   sh experiments/best_lists/search.sh [MODEL...]
# `anirec run -m` repeats a search that was cut, so that the studies can be continued with a larger budget.
: "${OUTPUTS:=outputs/best_lists}" "${TRIALS:=6}" "${CPU_SECONDS:=60}"
protocol="dataset=mal_2016 dataset.unrated=keep dataset.min_user_ratings=3 split=per_user objective=val/ndcg@10"
cheap="metrics=ranking metrics.names=[ndcg@10,hit_rate@10,coverage@10,aplt@10] metrics.segments=false trainer=cpu"
columns="joined=mal_2020 model.objective=softmax model.branches.facts.columns=[genres,type,studios,source,aired_from]"
[ $# -gt 0 ] || set -- ease slim cease rp3beta item_knn als implicit_als low_rank_ease implicit_cosine elsa bpr \
  implicit_bpr mult_vae hybrid genre_popularity
for model; do
  own=""
  [ "$model" = hybrid ] && own=$columns
  # shellcheck disable=SC2086
  (ulimit -t "$CPU_SECONDS" && ${WRAP:-} python -m anirec run search="$model" search.n_trials="$TRIALS" \
    $protocol $cheap $own paths.outputs="$OUTPUTS")
done
