#!/bin/sh
# Titles that nobody has rated: search on validation titles with one budget (8 trials or 100 CPU seconds), test on new splits.
#   sh experiments/best_lists/new_titles.sh search|test [MODEL...]
#   anirec compare outputs/new_titles/mal_2016 --metric ndcg@10 --pairs
: "${NEW_TITLES:=outputs/new_titles}" "${TRIALS:=8}" "${CPU_SECONDS:=100}" "${SEEDS:=4,5,6}"
protocol="dataset=mal_2016 joined=mal_2020 split=whole_items metrics.candidates=cold objective=val/ndcg@10"
cheap="metrics=ranking metrics.names=[ndcg@10,hit_rate@10,coverage@10,aplt@10] metrics.segments=false trainer=cpu"
columns="model.branches.facts.columns=[genres,type,studios,source,aired_from]"
verb=$1 && shift
[ $# -gt 0 ] || set -- content_ridge hybrid genre_popularity popularity
for model; do
  case $model in
    content_ridge) own=$columns ;;
    hybrid) own="$columns model.objective=softmax model.training.batch_size=2048" ;;
    *) own="" ;;
  esac
  study=$NEW_TITLES/searches/mal_2016_$model
  # shellcheck disable=SC2086
  if [ "$verb" = test ]; then
    settings=$(python experiments/best_lists/best_settings.py "$study")
    ${WRAP:-} python -m anirec run -m model="$model" split.seed="$SEEDS" $protocol $cheap $own $settings \
      checkpoints=none paths.outputs="$NEW_TITLES"
  elif [ "$model" != popularity ]; then
    [ "$model" = hybrid ] && own="$own model.id_dropout=interval(0.3,0.9)"
    (ulimit -t "$CPU_SECONDS" && ${WRAP:-} python -m anirec run search="$model" search.n_trials="$TRIALS" \
      $protocol $cheap $own paths.outputs="$NEW_TITLES")
  fi
done
