"""Random generators from what is stored of a request."""

from __future__ import annotations

from typing import Any

import numpy as np


def generator_for(seed: Any, origin_prefix: str) -> np.random.Generator:
    """Return a generator; crystals of another prefix are other crystals, also of the same seed.

    :raises ValueError: if the seed is no integer ≥ 0.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f'the seed of the pool is {seed}: give an integer ≥ 0')
    return np.random.default_rng([seed, *origin_prefix.encode()])
