"""Random search: each crystal of a pool is relaxed on the surface itself, until its forces vanish."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from aiida_prospect.common.enums import RelaxStatus
from aiida_prospect.methods.pool.generate import generate_from_parameters
from aiida_prospect.methods.relaxation.driver import Relaxation
from aiida_prospect.methods.relaxation.settings import RelaxSettings
from benchmarks.label_efficiency.methods import METHODS
from benchmarks.label_efficiency.record import count_low
from benchmarks.label_efficiency.systems import System
from benchmarks.label_efficiency.truth import Truth

# Relaxations of one result; more of them are more seeds.
CRYSTALS = 100
MAX_STEPS = 500


def run(system: System, pool: str, seed: int) -> dict[str, Any]:
    """Relax crystals made as for a search."""
    truth = Truth(system)
    parameters = METHODS['prospect'].settings(system, pool, seed).pool
    frames, _ = generate_from_parameters({**parameters, 'n_structures': CRYSTALS, 'origin_prefix': 'baseline-'})
    settings = RelaxSettings(max_steps=MAX_STEPS, uncertainty=None)
    started, wall = time.process_time(), time.monotonic()
    relaxed = Relaxation(frames, system.surface.ensemble(), settings).run()
    seconds = time.process_time() - started
    ended = np.isin(relaxed.known('status'), [RelaxStatus.CONVERGED.value, RelaxStatus.MAX_STEPS.value])
    heights = np.where(ended, relaxed.energy_per_atom - truth.energy, np.nan)
    evaluations = relaxed.known('steps') + 1
    hits = np.flatnonzero(heights < truth.threshold - truth.energy)
    known = relaxed.replace(status=np.where(np.isfinite(heights), 'ok', 'failed'), reason=None)
    return {
        'target_energy': truth.energy,
        'window': truth.window,
        'heights': [round(float(height), 3) if np.isfinite(height) else None for height in heights],
        'evaluations': evaluations.tolist(),
        'hits': [[int(index), truth.names_of(known[int(index)])] for index in hits],
        'low_minima': count_low(known, truth, evaluations),
        'seconds': {'relax': round(seconds, 1)},
        'wall_seconds': round(time.monotonic() - wall, 1),
    }
