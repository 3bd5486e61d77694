"""Seconds until a force field is good enough: trainings of more and more steps, each with its own full course.

A training that is cut short says little, because its learning rate has not come down; so each step of the ladder is a
training of its own with the schedule of the protocol.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aiida_prospect.calculations.runners import stages
from benchmarks.conditions import conditions
from benchmarks.training_cost import data
from benchmarks.training_cost.comparable import Stored
from benchmarks.training_cost.jobs import Training, run
from benchmarks.training_cost.models import Laboratory, data_of, has_seen
from benchmarks.training_cost.rows import POD, PYTORCH, ROWS, TENSORFLOW

LABELS, EARLIER = 60, 40
# Of frames that no training has seen: energies without their mean error, eV/atom.
WANTED = (0.25, 0.20, 0.15, 0.10, 0.08)
BASE_STEPS = 5000
BASE = 'ladder_base'


@dataclass(frozen=True)
class Ladder:
    """Trainings of more and more steps.

    :param rows: of the comparison of models, which are trainings of this ladder too.
    """

    program: str
    steps: tuple[int, ...]
    protocol: str = 'balanced'
    warm: bool = False
    rows: tuple[str, ...] = ()


LADDERS = {
    'deepmd, cold': Ladder(TENSORFLOW, (500, 1000), rows=('e2a_02000_060', 'e2a_05000_060', 'e2a_20000_060')),
    'deepmd, warm': Ladder(TENSORFLOW, (500, 2000, 5000), warm=True),
    'deepmd stringent, cold': Ladder(TENSORFLOW, (1000, 5000), 'stringent'),
    'deepmd with PyTorch, cold': Ladder(PYTORCH, (500,), rows=('dpa1_0_02000_060',)),
    'pod': Ladder(POD, (), rows=('pod_060',)),
    'pod stringent': Ladder(POD, (0,), 'stringent'),
}


def climb(laboratory: Laboratory, names: Sequence[str]) -> None:
    """Run all trainings of some ladders that are not stored yet."""
    for name in names:
        ladder = LADDERS[name]
        if ladder.warm:
            _base(laboratory)
        for steps in ladder.steps:
            path = laboratory.results / 'ladder' / f'{name_of(name, steps)}.json'
            if not path.is_file():
                outcome = _train(laboratory, laboratory.work / path.stem, ladder, steps)
                _store(path, {'ladder': name, 'steps': steps, **outcome}, laboratory.work / path.stem)


def name_of(ladder: str, steps: int) -> str:
    """Return the name under which a training of a ladder is stored."""
    return f'{_slug(ladder)}_{steps:05d}'


def _slug(name: str) -> str:
    return name.replace(',', '').replace(' ', '_')


def _store(path: Path, outcome: Mapping[str, Any], folder: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    keys = ('ladder', 'steps', 'errors', 'seconds', 'import_seconds', 'process')
    kept = {key: outcome[key] for key in keys if key in outcome}
    content = {**kept, 'data': data_of(folder), 'conditions': conditions()}
    path.write_text(json.dumps(content, indent=1) + '\n')


def _base(laboratory: Laboratory) -> None:
    """Train what warm trainings begin with, unless it is there: the potential of a cycle before, on fewer labels."""
    folder = laboratory.work / BASE
    labels = data.Surface().labels(EARLIER, data.SEEDS['training'], laboratory.data)
    if (folder / stages.MODEL_FILE).is_file() and has_seen(folder, labels):
        return
    job = Training(parameters={'cold': {'steps': BASE_STEPS}})
    job.write(folder, labels, data.Surface().validation(laboratory.data))
    outcome = run(job, folder, laboratory.python(TENSORFLOW))
    _store(laboratory.results / 'ladder' / f'{BASE}.json', {'ladder': BASE, 'steps': 0, **outcome}, folder)


def _train(laboratory: Laboratory, folder: Path, ladder: Ladder, steps: int) -> dict[str, Any]:
    pod = ladder.program == POD
    parameters = {} if pod else {'warm' if ladder.warm else 'cold': {'steps': steps}}
    start = laboratory.work / BASE if ladder.warm else None
    job = Training('pod' if pod else 'deepmd', ladder.program, ladder.protocol, parameters, start=start)
    labels = data.Surface().labels(LABELS, data.SEEDS['training'], laboratory.data)
    job.write(folder, labels, data.Surface().validation(laboratory.data))
    return run(job, folder, laboratory.python(ladder.program))


def load(stored: Stored) -> dict[str, list[dict[str, Any]]]:
    """Return what is stored, by ladder, the shortest training first."""
    found = {}
    for name, ladder in LADDERS.items():
        items = [dict(item) for item in stored.ladders.values() if item['ladder'] == name]
        for row in ladder.rows:
            if row in stored.rows:
                steps = ROWS[row].parameters.get('cold', {}).get('steps', 0)
                items.append({**stored.rows[row], 'steps': steps})
        if items:
            found[name] = sorted(items, key=lambda item: item['steps'])
    return found


def seconds_to(ladder: Sequence[Mapping[str, Any]], wanted: float) -> float | None:
    """Return the seconds of a processor to an error of the energies, between two trainings by their logarithms.

    :param wanted: eV/atom.
    :return: ``None`` if the longest training does not come to it.
    """
    ladder = [item for item in ladder if item['process']['cpu'] is not None]
    seconds = np.array([item['process']['cpu'] for item in ladder])
    errors = np.minimum.accumulate([item['errors']['validation']['energy_shifted'] for item in ladder])
    below = np.flatnonzero(errors <= wanted)
    if not len(below):
        return None
    last = int(below[0])
    if last == 0:
        return float(seconds[0])
    share = np.log(errors[last - 1] / wanted) / np.log(errors[last - 1] / errors[last])
    return float(np.exp(np.log(seconds[last - 1]) + share * np.log(seconds[last] / seconds[last - 1])))
