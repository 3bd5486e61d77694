"""Where the time of a relaxation goes."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.evaluators.loading import load_ensemble
from aiida_prospect.methods.evaluators.neighbours import Crowd, Neighbours
from aiida_prospect.methods.relaxation import driver
from aiida_prospect.methods.relaxation.settings import RelaxSettings
from benchmarks.conditions import conditions
from benchmarks.relax_throughput.crystals import random_crystals
from benchmarks.relax_throughput.models import MEMBERS, Models
from benchmarks.relax_throughput.rows import RESULTS

CRYSTALS = 192
# After which a checkpoint is written: the batch is full, others wait and some have ended.
STEPS_BEFORE_CHECKPOINT = 60
PATH = RESULTS / 'shares.json'


def store_shares(models: Models) -> None:
    """Measure with the TensorFlow backend, one model and an ensemble, and write the result."""
    found = {str(members): shares(models, members) for members in (1, MEMBERS)}
    RESULTS.mkdir(parents=True, exist_ok=True)
    PATH.write_text(json.dumps({'shares': found, 'conditions': conditions(('ase',))}, indent=1) + '\n')


def shares(models: Models, members: int) -> dict[str, Any]:
    """Return seconds of the processor by what they were spent on."""
    files = [models.file('tensorflow', member) for member in range(members)]
    ensemble = load_ensemble([{'backend': 'tensorflow', 'file': file.name} for file in files], files[0].parent)
    frames = Frames.from_atoms(random_crystals(CRYSTALS, 16, np.random.default_rng(7)))
    settings = RelaxSettings(patience=300, uncertainty=None)
    # Other crystals than those measured, of which no list is to be there yet.
    practice = Frames.from_atoms(random_crystals(64, 16, np.random.default_rng(8)))
    driver.Relaxation(practice, ensemble, RelaxSettings(max_steps=3)).run()
    neighbours = ensemble.members[0]._neighbours
    built = neighbours.built
    relaxation = driver.Relaxation(frames, ensemble, settings)
    seconds: defaultdict[str, float] = defaultdict(float)
    with _timed(seconds, relaxation, ensemble):
        before = time.process_time()
        relaxation.run()
        total = time.process_time() - before
    seconds['rest'] = total - sum(seconds.values())
    built = neighbours.built - built
    return {
        'seconds': dict(seconds),
        'total': total,
        'evaluations': relaxation.counters['evaluations'],
        'checkpoint': _checkpoint(driver.Relaxation(frames, ensemble, settings)),
        'lists_built': built,
    }


def _checkpoint(relaxation: driver.Relaxation) -> float:
    """Return the seconds of the processor that a checkpoint in the middle of a relaxation takes."""
    for _ in range(STEPS_BEFORE_CHECKPOINT):
        relaxation.advance()
    with TemporaryDirectory() as folder:
        before = time.process_time()
        relaxation.save(Path(folder) / 'checkpoint.npz')
        return time.process_time() - before


@contextmanager
def _timed(seconds: dict[str, float], relaxation: Any, ensemble: Any) -> Iterator[None]:
    """Time the parts of a relaxation while it runs."""
    places: list[tuple[Any, str, str]] = [
        *((member, '_engine', 'model') for member in ensemble.members),
        (Neighbours, '__call__', 'neighbours'),
        (Crowd, 'gather', 'forces of images'),
        (relaxation.optimiser, 'step', 'optimiser'),
        (driver, 'generalised_forces', 'optimiser'),
        (driver, 'unphysical', 'sanity of geometries'),
    ]
    before = [getattr(owner, name) for owner, name, _ in places]
    for (owner, name, what), function in zip(places, before, strict=True):
        setattr(owner, name, _timing(function, seconds, what))
    yield
    for (owner, name, _), function in zip(places, before, strict=True):
        setattr(owner, name, function)


def _timing(function: Callable[..., Any], seconds: dict[str, float], what: str) -> Callable[..., Any]:
    @wraps(function, assigned=())
    def timed(*arguments: Any, **options: Any) -> Any:
        before = time.process_time()
        result = function(*arguments, **options)
        seconds[what] += time.process_time() - before
        return result

    return timed
