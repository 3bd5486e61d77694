"""From a relaxed pool to the frames that are sent to be labelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.clusters import cluster
from aiida_prospect.methods.selection.base import Choice, SelectionRequest, Strategy, displace, load_strategy


def choose(strategy: Strategy, request: SelectionRequest) -> Frames:
    """Apply a strategy and return the frames that it chose, see :func:`candidates`.

    :raises ValueError: if the strategy breaks its contract.
    """
    choices = strategy(request)
    indices = [choice.index for choice in choices]
    if len(set(indices)) < len(indices) or len(indices) > request.n_select:
        raise ValueError(f'the strategy chose {len(indices)} frames, {len(set(indices))} of them distinct')
    return candidates(request.pool, choices, request.rng)


def check_strategy(name: str, options: Mapping[str, Any]) -> None:
    """Check a strategy and its options: from an empty pool it can choose nothing, but must know what it was told.

    :raises ValueError: if there is none of that name, or it refuses the options.
    :raises TypeError: if an option is of a kind that the strategy cannot read.
    """
    strategy, pool, fingerprints = load_strategy(name), Frames.empty(), np.empty((0, 0))
    clusters = cluster(pool, fingerprints)
    for cycle in (0, 1):
        rng = np.random.default_rng(0)
        choose(strategy, SelectionRequest(pool, fingerprints, clusters, 1, rng, cycle=cycle, options=options))


def candidates(pool: Frames, choices: Sequence[Choice], rng: np.random.Generator) -> Frames:
    """Take the chosen frames out of a pool.

    What the ensemble says of a frame stays with it, its energy under the name ``energy_initial``, so that its true
    error is known once there is a label (:mod:`aiida_prospect.methods.calibration`). A displaced frame keeps nothing.

    :return: with ``origin``, ``source`` (index in the pool) and ``reason``.
    """
    indices = np.array([choice.index for choice in choices], dtype=np.int64)
    chosen = pool.select(indices)
    chosen = displace(chosen.replace(energy_initial=chosen.energy), [c.displacement for c in choices], rng)
    return chosen.without('energy', 'forces', 'stress', 'status', 'steps').replace(
        source=indices, reason=[choice.reason for choice in choices], origin=_origins(chosen, indices)
    )


def _origins(chosen: Frames, indices: np.ndarray) -> np.ndarray:
    # A frame without a name gets one, because training and validation are split by it.
    names = chosen.origin if chosen.origin is not None else np.full(len(chosen), '')
    return np.array([name or f'pool-{index:06d}' for name, index in zip(names, indices, strict=True)], dtype=np.str_)
