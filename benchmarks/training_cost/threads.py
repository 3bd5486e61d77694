"""How fast trainings run alone and four at a time, with the threads that a job gets from us and with those by default.

Where the settings are made: ``calculations/runners/train.py`` sets the three variables to one thread unless the job or
the code has others.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida_prospect.calculations.runners.train import FLAG, INPUT_FILE, ONE_THREAD
from aiida_prospect.common.enums import Backend
from aiida_prospect.methods.deepmd_input import TRAINING_FOLDER, VALIDATION_FOLDER
from aiida_prospect.methods.deepmd_systems import write_systems
from benchmarks.conditions import conditions
from benchmarks.training_cost import data
from benchmarks.training_cost.jobs import Process, Training, one_thread
from benchmarks.training_cost.models import Laboratory

STEPS = 300
LABELS = 60
PARAMETERS = {'cold': {'steps': STEPS}, 'descriptor': {'sel': [80]}, 'repulsion': None}
# Zero leaves the choice to TensorFlow and PyTorch, which take all cores that they see.
BY_DEFAULT: dict[str, str | None] = {**dict.fromkeys(ONE_THREAD, '0'), 'OMP_NUM_THREADS': None}
TOGETHER = 4
CASES: dict[str, tuple[int, Mapping[str, str | None]]] = {
    'one training, one thread': (1, one_thread(1)),
    'one training, threads by default': (1, BY_DEFAULT),
    'four trainings, one thread each': (TOGETHER, one_thread(1)),
    'four trainings, threads by default': (TOGETHER, BY_DEFAULT),
}
SPEED = re.compile(r'average training time: ([0-9.]+) s/batch')


def measure(laboratory: Laboratory, program: str, rounds: int) -> None:
    """Run all cases in turn, some times over, and store all figures."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in CASES}
    for number in range(rounds):
        for name, (count, variables) in CASES.items():
            found[name].append(_case(laboratory, program, count, variables, seed=number))
    path = laboratory.results / f'threads_{program}.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {'program': program, 'steps': STEPS, 'cases': found, 'conditions': conditions()}
    path.write_text(json.dumps(content, indent=1) + '\n')


def _case(
    laboratory: Laboratory, program: str, count: int, variables: Mapping[str, str | None], *, seed: int
) -> dict[str, float]:
    labels = data.Surface().labels(LABELS, data.SEEDS['training'], laboratory.data)
    folders = [laboratory.work / f'threads_{program}_{number}' for number in range(count)]
    for number, folder in enumerate(folders):
        job = Training('deepmd', program, parameters=PARAMETERS, seed=10 * seed + number)
        job.write(folder, labels, labels.select(range(10)))
        for name in (TRAINING_FOLDER, VALIDATION_FOLDER):
            write_systems(labels, folder / name, job.type_map)
    command = [laboratory.python(program), '-m', 'deepmd', FLAG[Backend(program)], 'train', INPUT_FILE]
    processes = [Process([*command, '--skip-neighbor-stat'], folder, variables).begin() for folder in folders]
    usage = [process.end() for process in processes]
    return {
        'wall': max(item['wall'] for item in usage),
        'cpu': sum(item['cpu'] for item in usage),
        'ms_per_step': statistics.median(_speed(folder) for folder in folders),
    }


def _speed(folder: Path) -> float:
    found = SPEED.findall((folder / 'process.log').read_text(errors='replace'))
    return 1e3 * float(found[-1])


def rows(results: Path) -> list[dict[str, Any]]:
    """Return medians over the rounds, one row for each case."""
    found = []
    for path in sorted(results.glob('threads_*.json')):
        item = json.loads(path.read_text())
        for name, runs in item['cases'].items():
            count = CASES[name][0]
            medians = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
            speed = 1e3 * count / medians['ms_per_step']
            found.append({'program': item['program'], 'case': name, 'rounds': len(runs), 'speed': speed, **medians})
    return found
