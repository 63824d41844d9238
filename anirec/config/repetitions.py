"""Jobs of a sweep that would repeat others: models without randomness give the same result for every seed."""

import re
from collections.abc import Sequence

from omegaconf import DictConfig

from anirec.config.compose import to_dict
from anirec.config.identity import depends_on_seed, replicate_keys
from anirec.config.validate import Composer

SEED = re.compile(r"\$\{[\s.]*seed\b")  # a reference to the seed


def drop_repetitions(jobs: Sequence[Sequence[str]]) -> tuple[list[Sequence[str]], list[str]]:
    """Leave out the jobs that differ from an earlier one only in `seed`, if their model has no randomness.

    Hydra must be initialised.

    Args:
        jobs: Overrides of each job.

    Returns:
        The jobs that are left, and a sentence for each model of which some are left out.
    """
    if len({override for job in jobs for override in job if is_seed(override)}) < 2:
        return list(jobs), []
    composer, seedless = Composer(), dict[int, bool]()  # by composition
    kept: dict[tuple[str, ...], Sequence[str]] = {}
    notes: dict[str, str] = {}
    for job in jobs:
        others = [override for override in job if not is_seed(override)]
        config, of_hydra = composer.compose_choices(others)
        if id(config) not in seedless:
            seedless[id(config)] = ignores_seed(config)
        is_plain = not any(SEED.search(override) or "_target_" in override for override in others)
        same = tuple(others if seedless[id(config)] and is_plain else job)
        if kept.setdefault(same, job) is not job:
            model = of_hydra.runtime.choices["model"]
            notes[model] = f"{model} gives the same result for every seed and runs once{what_varies(config)}"
    return list(kept.values()), list(notes.values())


def is_seed(override: str) -> bool:
    return override.lstrip("+").startswith("seed=")


def ignores_seed(config: DictConfig) -> bool:
    """Whether neither the model nor a key of the config depends on `seed`."""
    plain = to_dict(config, resolve=False)
    return not depends_on_seed(plain) and not SEED.search(str(plain))


def what_varies(config: DictConfig) -> str:
    """Return the end of a sentence that names the keys that give replicates of the split; empty if there are none."""
    keys = replicate_keys(to_dict(config, resolve=False))
    return f"; {' and '.join(keys)} {'varies' if len(keys) == 1 else 'vary'} the data" if keys else ""
