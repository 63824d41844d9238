"""Impact: a correlation that chance may give is called no impact."""

import numpy as np

from anirec.evaluation.findings import impact_sentence, may_be_chance


def test_noise_is_called_chance() -> None:
    random = np.random.default_rng(0)
    for n in (10, 40, 200):
        found = [float(np.corrcoef(random.normal(size=(2, n)))[0, 1]) for _ in range(400)]
        assert np.mean([not may_be_chance(one, n) for one in found]) <= 0.08


def test_few_franchises_show_no_impact() -> None:
    assert "this may be chance, so it shows no impact" in impact_sentence(0.35, 0.32, "good", n=12)
    assert "without deciding it" in impact_sentence(0.35, 0.32, "good", n=300)
    assert "negative" in impact_sentence(-0.35, -0.32, "good", n=300)
