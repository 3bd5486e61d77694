"""What a potential is worth to a search: does it rank unseen minima, and where do relaxations with it end?

Run by itself it evaluates and relaxes with one potential, in an interpreter that has its program:
``python judge.py`` in a folder with ``judge.json`` (as :func:`aiida_prospect.methods.evaluators.loading.load_evaluator`
takes it), ``minima.npz`` and ``crystals.npz`` writes ``judged.npz`` and ``relaxed.npz``.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from aiida_prospect.common.enums import Optimizer
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.evaluators.ensemble import Ensemble
from aiida_prospect.methods.evaluators.loading import load_evaluator
from aiida_prospect.methods.relaxation.driver import Relaxation
from aiida_prospect.methods.relaxation.settings import RelaxSettings

STEPS = 80
BEST = 3
SPECIFICATION, MINIMA, CRYSTALS, JUDGED, RELAXED = (
    'judge.json',
    'minima.npz',
    'crystals.npz',
    'judged.npz',
    'relaxed.npz',
)


def evaluate(folder: Path) -> None:
    """Evaluate the minima, relax the crystals."""
    evaluator = load_evaluator(json.loads((folder / SPECIFICATION).read_text()), folder)
    ensemble = Ensemble([evaluator])
    ensemble.evaluate(Frames.load(folder / MINIMA)).save(folder / JUDGED)
    started = time.process_time()
    # Not the default of the package, so that results of other commits can be compared.
    settings = RelaxSettings(optimizer=Optimizer.LBFGS, max_steps=STEPS, patience=STEPS, uncertainty=None)
    relaxation = Relaxation(Frames.load(folder / CRYSTALS), ensemble, settings)
    relaxation.run().save(folder / RELAXED)
    seconds = time.process_time() - started
    (folder / 'judge_seconds.json').write_text(
        json.dumps({'cpu': seconds, 'evaluations': relaxation.counters['evaluations']})
    )


def judge(folder: Path, surface: Ensemble, lowest: float) -> dict[str, Any]:
    """Compare what a potential gave with the surface.

    :param lowest: energy per atom that energies are given above, eV.
    :return: ``minima_spread`` (eV/atom, standard deviation of their energies, the error of who knows nothing),
        ``minima_rms`` (eV/atom, without the mean error, which no ranking notices), ``minima_rank`` (Spearman),
        ``relaxed_rank``, ``relaxed_median`` and ``relaxed_best`` (eV/atom: true energies of all relaxed crystals, and
        of the best one of the three that the potential has lowest) and ``ms_per_evaluation``.
    """
    minima, judged = Frames.load(folder / MINIMA), Frames.load(folder / JUDGED)
    error = judged.energy_per_atom - minima.energy_per_atom
    relaxed = Frames.load(folder / RELAXED)
    physical = np.flatnonzero((relaxed.known('status') != 'unphysical') & np.isfinite(relaxed.known('energy')))
    relaxed = relaxed.select(physical)
    true = surface.evaluate(relaxed).energy_per_atom - lowest
    by_model = np.argsort(relaxed.energy_per_atom)
    seconds = json.loads((folder / 'judge_seconds.json').read_text())
    return {
        'minima': len(minima),
        'minima_spread': float(np.std(minima.energy_per_atom)),
        'minima_rms': float(np.std(error)),
        'minima_rank': float(spearmanr(judged.energy_per_atom, minima.energy_per_atom)[0]),
        'relaxed': len(relaxed),
        'relaxed_rank': float(spearmanr(relaxed.energy_per_atom, true)[0]),
        'relaxed_median': float(np.median(true)),
        'relaxed_best': float(true[by_model[:BEST]].min()),
        'ms_per_evaluation': 1e3 * seconds['cpu'] / seconds['evaluations'],
    }


if __name__ == '__main__':
    evaluate(Path.cwd())
