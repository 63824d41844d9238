"""Why is a title recommended? Leave out one thing that somebody has seen, and see how far the title falls."""

import torch
from torch import Tensor

from anirec.data.ratings.interactions import RatingBatch
from anirec.models.base import FoldsIn

NEGLIGIBLE = 0.1  # of the spread of the scores: a fall that would hardly change a place
BESIDE = 0.5  # share of the greatest fall from which a second reason is named
MOST = 2


def reasons(model: FoldsIn, item: Tensor, rating: Tensor, recommended: Tensor) -> list[list[int]]:
    """For each recommended item (n,) the one or two places of the history that matter most; none where nothing does.

    What lifts or lowers all items alike, such as a person's generosity, is no reason for any of them: scores are
    compared with their mean.

    Args:
        item: What the person has seen, int64 (H,).
        rating: Its ratings, float32 (H,); NaN where there is none.
        recommended: Item indices.
    """
    n = len(item)
    # Person 0 has the whole history, person h + 1 all of it but place h.
    person = torch.arange(n + 1).repeat_interleave(n)
    place = torch.arange(n).repeat(n + 1)
    kept = place != person - 1
    person, place = person[kept], place[kept]
    scores = model.fold_in(RatingBatch(person, item[place], rating[place]), n + 1)
    above_mean = scores - scores.mean(dim=1, keepdim=True)
    falls_hr = (above_mean[0] - above_mean[1:])[:, recommended]
    least = NEGLIGIBLE * float(scores[0].std())
    return [most_important(falls_h, least) for falls_h in falls_hr.T]


def most_important(falls_h: Tensor, least: float) -> list[int]:
    """
    >>> most_important(torch.tensor([0.1, 0.9, 0.6, 0.7]), 0.05), most_important(torch.tensor([0.0, -0.2]), 0.05)
    ([1, 3], [])
    """
    fall, place = falls_h.sort(descending=True)
    matters = (fall > least) & (fall >= BESIDE * fall[:1])
    return place[matters][:MOST].tolist()
