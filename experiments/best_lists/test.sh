#!/bin/sh
# Test each model with the best settings of search.sh (of its defaults, if no trial finished), on three new splits.
#   sh experiments/best_lists/test.sh [MODEL...]
#   anirec compare outputs/best_lists/mal_2016 --metric ndcg@10 --pairs
: "${OUTPUTS:=outputs/best_lists}" "${SEEDS:=1,2,3}"
protocol="dataset=mal_2016 dataset.unrated=keep dataset.min_user_ratings=3 split=per_user objective=val/ndcg@10"
cheap="metrics=ranking metrics.names=[ndcg@10,hit_rate@10,coverage@10,aplt@10] metrics.segments=false trainer=cpu checkpoints=none"
columns="joined=mal_2020 model.objective=softmax model.branches.facts.columns=[genres,type,studios,source,aired_from]"
[ $# -gt 0 ] || set -- ease slim cease rp3beta item_knn als implicit_als low_rank_ease implicit_cosine elsa bpr \
  implicit_bpr mult_vae hybrid genre_popularity popularity two_stage
for model; do
  own=""
  [ "$model" = hybrid ] && own=$columns
  settings=$(python experiments/best_lists/best_settings.py "$OUTPUTS/searches/mal_2016_$model")
  # shellcheck disable=SC2086
  ${WRAP:-} python -m anirec run -m model="$model" split.seed="$SEEDS" $protocol $cheap $own $settings ${MORE:-} \
    paths.outputs="$OUTPUTS"
done
