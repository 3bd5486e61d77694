"""The costs of trainings in short: ratios within one run, which a slow machine does not change much."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.relaxation.driver import Relaxation
from aiida_prospect.methods.relaxation.settings import RelaxSettings, TrajectorySettings
from benchmarks.training_cost.data import OPTIMIZER, Surface
from benchmarks.training_cost.jobs import Training, run
from benchmarks.training_cost.ladder import seconds_to

LABELS, EARLIER, UNSEEN = 24, 16, 10
COLD, WARM = 400, (100, 400)
# Small, so that the minutes go into steps and not into anything else.
NETWORK = {
    'descriptor': {'neuron': [8, 16], 'axis_neuron': 4},
    'fitting': {'neuron': [30, 30]},
    'compression': None,
    'progress': None,
}


def smoke() -> dict[str, float]:
    """Train with TensorFlow and ML-POD for a minute or two on one core.

    :return: ``pod_per_cold_seconds``, a fit of ML-POD over a training of a network from scratch;
        ``warm_per_cold_seconds`` until the error of the energies is that of the training from scratch (the longest one
        if none gets there); and ``warm_per_cold_error`` after equally many steps. All are better when smaller.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        frames = _labels()
        earlier, labels, unseen = (frames.select(part) for part in _parts(len(frames)))
        _train(folder / 'earlier', Training(parameters=_steps('cold', COLD)), earlier, unseen)
        cold = _train(folder / 'cold', Training(parameters=_steps('cold', COLD)), labels, unseen)
        warm = [
            _train(
                folder / f'warm_{steps}',
                Training(parameters=_steps('warm', steps), start=folder / 'earlier'),
                labels,
                unseen,
            )
            for steps in WARM
        ]
        pod = _train(folder / 'pod', Training('pod'), labels, unseen)
    seconds, error = cold['process']['cpu'], _error(cold)
    return {
        'pod_per_cold_seconds': pod['process']['cpu'] / seconds,
        'warm_per_cold_seconds': (seconds_to(warm, error) or warm[-1]['process']['cpu']) / seconds,
        'warm_per_cold_error': _error(warm[-1]) / error,
    }


def _labels() -> Frames:
    """Return one frame of each of some short relaxations."""
    surface = Surface()
    kept = TrajectorySettings(every=10)
    settings = RelaxSettings(optimizer=OPTIMIZER, max_steps=10, uncertainty=None, trajectory=kept)
    relaxation = Relaxation(surface.crystals(LABELS + UNSEEN, seed=5), surface.ensemble(), settings)
    return relaxation.run().without('status', 'reason', 'steps')


def _parts(count: int) -> tuple[range, range, range]:
    return range(EARLIER), range(LABELS), range(LABELS, count)


def _steps(start: str, steps: int) -> dict[str, Any]:
    return {**NETWORK, start: {'steps': steps}}


def _train(folder: Path, job: Training, labels: Frames, unseen: Frames) -> dict[str, Any]:
    job.write(folder, labels, unseen)
    return run(job, folder, sys.executable)


def _error(outcome: dict[str, Any]) -> float:
    return float(outcome['errors']['validation']['energy_shifted'])
