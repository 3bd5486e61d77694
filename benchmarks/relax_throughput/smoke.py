"""The throughput of relaxations in short: ratios within one run, of seconds of the processor."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from ase import Atoms

from benchmarks.relax_throughput.crystals import random_crystals
from benchmarks.relax_throughput.engines import Measured, limit, one_by_one, ours
from benchmarks.relax_throughput.models import MEMBERS, Models

STEPS, LABELLED = 1500, 16
TOGETHER, FEWER, ALONE = 64, 32, 4
REPEATS = 3


def smoke() -> dict[str, float]:
    """Train a network for some seconds and relax crystals with it; a minute of one core.

    :return: ``rate_over_ase``, evaluations per second in a batch over those of ASE one by one;
        ``relaxations_over_ase``, the same of whole relaxations, so with the optimisers' numbers of steps in it;
        ``share_of_limit``, over evaluations alone; ``evaluations_over_ase``, those of a relaxation over those of ASE's
        FIRE; ``ensemble_over_single``, seconds per evaluation of four models over those of one, and
        ``pod_ensemble_over_single``, of those of ML-POD.
    """
    with TemporaryDirectory() as name:
        models = Models(Path(name), steps=STEPS, crystals=LABELLED)
        file, pods = models.file('tensorflow'), [models.file('pod', member) for member in range(MEMBERS)]
        crystals = random_crystals(TOGETHER, 16, np.random.default_rng(1))
        relax = ours([file], backend='tensorflow')
        together, evaluations = _seconds_each(relax, crystals)
        four, _ = _seconds_each(ours([file] * MEMBERS, backend='tensorflow'), crystals, repeats=1)
        pod, _ = _seconds_each(ours(pods[:1], backend='pod'), crystals[:FEWER], repeats=1)
        four_pods, _ = _seconds_each(ours(pods, backend='pod'), crystals[:FEWER], repeats=1)
        alone, evaluations_of_ase = _seconds_each(one_by_one([file], optimizer='FIRE'), crystals[:ALONE])
        fastest = limit([file], backend='tensorflow')(crystals).details['per_cpu_second']
    return {
        'rate_over_ase': alone / together,
        'relaxations_over_ase': (alone * evaluations_of_ase) / (together * evaluations),
        'share_of_limit': 1 / together / fastest,
        'evaluations_over_ase': evaluations / evaluations_of_ase,
        'ensemble_over_single': four / together,
        'pod_ensemble_over_single': four_pods / pod,
    }


def _seconds_each(run: Measured, crystals: list[Atoms], repeats: int = REPEATS) -> tuple[float, float]:
    """Return seconds of the processor per evaluation, the median of repetitions, and evaluations per crystal."""
    run(crystals[:2])
    seconds = []
    for _ in range(repeats):
        before = time.process_time()
        outcome = run(crystals)
        seconds.append((time.process_time() - before) / outcome.evaluations)
    return median(seconds), outcome.evaluations / len(crystals)
