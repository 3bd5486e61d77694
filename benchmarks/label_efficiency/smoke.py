"""A reduced form for every change: one search of Si8 against relaxing random crystals of the same kind."""

from __future__ import annotations

import numpy as np

from aiida_prospect.methods.pool.generate import generate_from_parameters
from aiida_prospect.methods.relaxation.driver import Relaxation
from aiida_prospect.methods.relaxation.settings import RelaxSettings
from benchmarks.label_efficiency.loop import Search
from benchmarks.label_efficiency.methods import METHODS
from benchmarks.label_efficiency.rates import hit_of, n_labels
from benchmarks.label_efficiency.record import summarise
from benchmarks.label_efficiency.systems import SYSTEMS
from benchmarks.label_efficiency.truth import Truth

SEED = 1
CRYSTALS = 40
MAX_LABELS = 60


def smoke() -> dict[str, float]:
    """Search Si8 once and relax some random crystals; two minutes of one core.

    :return: ``labels`` to the first hit (of all, if there was none), ``found`` (1 or 0), ``evaluations`` of random
        search for each hit (of all, if there was none), and ``ratio``, how many times fewer labels that is.
    """
    system = SYSTEMS['si8']
    settings = METHODS['prospect'].settings(system, 'mixed', SEED)
    settings.search['budget']['max_labels'] = MAX_LABELS
    result = summarise(Search(settings, system.surface.ensemble()).run(), Truth(system))
    hit = hit_of(result)
    frames, _ = generate_from_parameters({**settings.pool, 'n_structures': CRYSTALS, 'origin_prefix': 'baseline-'})
    relaxed = Relaxation(frames, system.surface.ensemble(), RelaxSettings(max_steps=500, uncertainty=None)).run()
    evaluations = int(np.sum(relaxed.known('steps') + 1))
    hits = int(np.sum(relaxed.energy_per_atom < Truth(system).threshold))
    labels = hit.spent if hit else n_labels(result)
    per_hit = evaluations / max(hits, 1)
    return {
        'labels': float(labels),
        'found': float(hit is not None),
        'evaluations': per_hit,
        'ratio': per_hit / labels,
    }
