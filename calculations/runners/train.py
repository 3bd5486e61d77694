"""Train, freeze, compress and test a force field of DeePMD-kit, in the current folder.

``job.json`` holds ``type_map``, ``initial`` (name of a model to start from, or null) with its ``backend``, ``sel``
(numbers of neighbours) and ``start`` (options of ``dp train``, or null for those of a frozen model), and
``compression`` (``step`` of the table, Å⁻¹, or null). ``input.json`` is the input of DeePMD-kit; ``training.npz`` and
``validation.npz`` hold the frames. Where there is ``parent/``, the training goes on from its checkpoint. What comes out
is told by ``results.json``.

DeePMD-kit is imported once; each of its commands is a fork of this process, which saves some five seconds for each.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from aiida_prospect.calculations.runners import stages
from aiida_prospect.calculations.runners.stages import (
    JOB_FILE,
    MODEL_FILE,
    TRAINING_FILE,
    VALIDATION_FILE,
    StageError,
)
from aiida_prospect.common.enums import Backend
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.deepmd_input import (
    CHECKPOINT,
    CURVE_FILE,
    TABLE_FILE,
    TRAINING_FOLDER,
    VALIDATION_FOLDER,
    adapt_to_backend,
    cutoff_of,
    selected_neighbours,
    with_neighbours,
)
from aiida_prospect.methods.deepmd_systems import write_systems
from aiida_prospect.methods.learning_curve import typical_force
from aiida_prospect.methods.model_errors import model_errors
from aiida_prospect.methods.zbl import zbl_table

INPUT_FILE = 'input.json'
COMPLETE_INPUT = 'out.json'
# Without the ending that belongs to the backend: this way the parser need not know it.
INITIAL_FILE = 'initial'
START_FILE = 'start'
PARENT_FOLDER = 'parent'
# More than a training has jobs.
MOST_PARENTS = 20
BACKENDS = {
    'tensorflow': Backend.TENSORFLOW,
    'tf': Backend.TENSORFLOW,
    'pytorch': Backend.PYTORCH,
    'pt': Backend.PYTORCH,
}
SUFFIX = {Backend.TENSORFLOW: '.pb', Backend.PYTORCH: '.pth'}
# Of models to start from; the last one is a checkpoint.
START_SUFFIXES = ('.pb', '.pth', '.pt')
FLAG = {Backend.TENSORFLOW: '--tf', Backend.PYTORCH: '--pt'}
CHECKPOINT_FILE = {Backend.TENSORFLOW: f'{CHECKPOINT}.index', Backend.PYTORCH: f'{CHECKPOINT}.pt'}
ONE_THREAD = ('OMP_NUM_THREADS', 'DP_INTRA_OP_PARALLELISM_THREADS', 'DP_INTER_OP_PARALLELISM_THREADS')


def choose_backend(wanted: str | None) -> Backend:
    """Return the backend that is asked for, else what is installed, TensorFlow first.

    :raises StageError: if there is none.
    """
    if wanted:
        if wanted.lower() not in BACKENDS:
            raise StageError('start', 'backend', f'DP_BACKEND is `{wanted}`, expected one of {", ".join(BACKENDS)}')
        return BACKENDS[wanted.lower()]
    for module, backend in (('tensorflow', Backend.TENSORFLOW), ('torch', Backend.PYTORCH)):
        if find_spec('deepmd') and find_spec(module):
            return backend
    raise StageError('start', 'backend', 'deepmd-kit with TensorFlow or PyTorch is not installed for this interpreter')


def import_backend(backend: Backend) -> Callable[[list[str]], None]:
    """Import DeePMD-kit and return its command line as a function."""
    if backend is Backend.TENSORFLOW:
        from deepmd.tf.entrypoints.main import main
    else:
        from deepmd.pt.entrypoints.main import main
    from deepmd.main import parse_args

    return lambda arguments: main(parse_args([FLAG[backend], *arguments]))


def forked(stage: str, function: Callable[[], None]) -> None:
    """Run a function in a fork of this process, with its output in a file named after the stage.

    :raises StageError: if it raises, exits with an error or is killed.
    """
    log = Path(f'{stage}.log')
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with log.open('w') as handle:
                os.dup2(handle.fileno(), 1)
                os.dup2(handle.fileno(), 2)
                function()
            code = 0
        except SystemExit as exception:
            code = exception.code if isinstance(exception.code, int) else int(exception.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        text = log.read_text(errors='replace')
        lines = [line for line in text.splitlines() if line.strip() and 'implib-gen' not in line]
        reason = 'nan' if 'NaN detected' in text else 'killed' if code < 0 else 'failed'
        raise StageError(stage, reason, f'exit status {code}: {" | ".join(lines[-3:])[-800:]}')


def train(job: dict[str, Any], backend: Backend, dp: Callable[[list[str]], None]) -> dict[str, Any]:
    """Run all stages and return the results."""
    training = Frames.load(TRAINING_FILE)
    validation = Frames.load(VALIDATION_FILE) if Path(VALIDATION_FILE).exists() else None
    _take_over(Path(PARENT_FOLDER))
    settings = _prepare(job, backend, training, validation)
    suffix, seconds = SUFFIX[backend], {}
    initial, model = f'{INITIAL_FILE}{suffix}', f'{MODEL_FILE}{suffix}'
    stages: dict[str, list[str]] = {
        'train': ['train', INPUT_FILE, '-o', COMPLETE_INPUT, *_start_from(job, backend)],
        'freeze': ['freeze', '-c', CHECKPOINT + ('' if backend is Backend.TENSORFLOW else '.pt'), '-o', initial],
    }
    if job['compression']:
        stages['compress'] = ['compress', '-i', initial, '-o', model, '-s', str(job['compression']['step'])]
    for stage, arguments in stages.items():
        start = time.monotonic()
        forked(stage, partial(dp, arguments))
        seconds[stage] = round(time.monotonic() - start, 2)
    final = Path(model if job['compression'] else initial)
    start = time.monotonic()
    forked('test', lambda: _test(final, job['type_map'], training, validation))
    seconds['test'] = round(time.monotonic() - start, 2)
    final.replace(MODEL_FILE)
    if job['compression']:
        Path(initial).replace(INITIAL_FILE)
    complete = json.loads(Path(COMPLETE_INPUT).read_text())
    return {
        'type_map': job['type_map'],
        'sel': selected_neighbours(complete),
        'cutoff': cutoff_of(settings['model']['descriptor']),
        'architecture': _architecture(settings['model']['descriptor']),
        'errors': json.loads(Path('errors.json').read_text()),
        'n_training': len(training),
        'n_validation': 0 if validation is None else len(validation),
        'typical_force': typical_force(training),
        'seconds': seconds,
    }


def _prepare(job: dict[str, Any], backend: Backend, training: Frames, validation: Frames | None) -> dict[str, Any]:
    try:
        settings = adapt_to_backend(json.loads(Path(INPUT_FILE).read_text()), backend)
        if job.get('initial') and job.get('backend') != backend.value:
            raise ValueError(
                f'the potential to start from is of the backend {job["backend"]}, the code runs {backend}: '
                'train from scratch or set DP_BACKEND'
            )
        if job.get('sel'):
            settings = with_neighbours(settings, job['sel'])
        for folder, frames in ((TRAINING_FOLDER, training), (VALIDATION_FOLDER, validation)):
            if frames is not None and not Path(folder).exists():
                write_systems(frames, Path(folder), job['type_map'])
    except ValueError as exception:
        raise StageError('prepare', 'invalid', str(exception)) from exception
    if 'use_srtab' in settings['model']:
        np.savetxt(TABLE_FILE, zbl_table(job['type_map'], cutoff_of(settings['model']['descriptor'])))
    Path(INPUT_FILE).write_text(json.dumps(settings, indent=2))
    return settings


def _take_over(parent: Path) -> None:
    """Copy the checkpoints of an earlier job; of one that wrote none, those of the job before it."""
    if Path(CHECKPOINT).parent.exists():
        return
    earlier = (parent / Path(*[PARENT_FOLDER] * number) for number in range(MOST_PARENTS))
    source = next((folder for folder in earlier if _has_checkpoint(folder)), None)
    if source is None:
        return
    shutil.copytree((source / CHECKPOINT).parent, Path(CHECKPOINT).parent, symlinks=True)
    if (source / CURVE_FILE).exists():
        shutil.copy(source / CURVE_FILE, CURVE_FILE)


def _has_checkpoint(folder: Path) -> bool:
    return any((folder / name).exists() for name in CHECKPOINT_FILE.values())


def _start_from(job: dict[str, Any], backend: Backend) -> list[str]:
    if Path(CHECKPOINT_FILE[backend]).exists():
        return ['--restart', CHECKPOINT + ('' if backend is Backend.TENSORFLOW else '.pt')]
    if not job.get('initial'):
        return []
    option, *others = job.get('start') or ['--init-frz-model']
    return [option, job['initial'], *others]


def _architecture(descriptor: dict[str, Any]) -> str:
    return '+'.join(item['type'] for item in descriptor['list']) if 'list' in descriptor else str(descriptor['type'])


def _test(model: Path, type_map: list[str], training: Frames, validation: Frames | None) -> None:
    from aiida_prospect.methods.evaluators.deepmd import DeepmdEvaluator

    evaluator = DeepmdEvaluator(model, type_map=type_map)
    sample = stages.sample_of(training)
    errors = {'training': model_errors(sample, evaluator.evaluate(sample))}
    if validation is not None:
        errors['validation'] = model_errors(validation, evaluator.evaluate(validation))
    Path('errors.json').write_text(json.dumps(errors))


def work(outcome: dict[str, Any]) -> None:
    """Import DeePMD-kit, run all stages and fill in the results."""
    start = time.monotonic()
    backend = choose_backend(os.environ.get('DP_BACKEND'))
    outcome['backend'] = backend.value
    try:
        dp = import_backend(backend)
    except (ImportError, RuntimeError, OSError) as exception:
        message = f'deepmd-kit with {backend} cannot be imported: {exception}'
        raise StageError('start', 'backend', message) from exception
    outcome['import_seconds'] = round(time.monotonic() - start, 2)
    outcome |= train(json.loads(Path(JOB_FILE).read_text()), backend, dp)


def main() -> None:
    """Run in the current folder."""
    for variable in ONE_THREAD:
        os.environ.setdefault(variable, '1')
    stages.run(work)


if __name__ == '__main__':
    main()
