"""One training as a job of this package runs it, without AiiDA: the same runner on the same files."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiida_prospect.calculations.runners import stages
from aiida_prospect.calculations.runners import train as deepmd
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.deepmd_input import build_input
from aiida_prospect.workflows.protocols import load_protocol

ROOT = Path(__file__).parents[2]
PACKAGE_FOLDERS = ('plugins', 'calculations', 'parsers', 'workflows')
ELSEWHERE = ('options', 'escalation')
SUFFIXES = {'tensorflow': '.pb', 'pytorch': '.pth', 'pod': ''}


@dataclass(frozen=True)
class Training:
    """What is trained.

    :param force_field: ``deepmd`` or ``pod``.
    :param parameters: laid over the protocol.
    :param start: folder of an earlier training to begin with.
    :param option: of ``dp train``, how it begins with it.
    :param type_map: elements; what it begins with must have the same.
    """

    force_field: str = 'deepmd'
    backend: str = 'tensorflow'
    protocol: str = 'balanced'
    parameters: Mapping[str, Any] = field(default_factory=dict)
    start: Path | None = None
    option: str = '--init-frz-model'
    seed: int = 1
    type_map: Sequence[str] = ('Si',)

    def settings(self) -> dict[str, Any]:
        """Return the parameters of the training."""
        values = load_protocol(f'train_{self.force_field}', self.protocol, self.parameters)
        return {key: value for key, value in values.items() if key not in ELSEWHERE}

    @property
    def module(self) -> str:
        """The runner."""
        name = 'train' if self.force_field == 'deepmd' else 'train_pod'
        return f'aiida_prospect.calculations.runners.{name}'

    def write(self, folder: Path, training: Frames, validation: Frames) -> None:
        """Write all files of a job."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        training.save(folder / stages.TRAINING_FILE)
        validation.save(folder / stages.VALIDATION_FILE)
        parameters = self.settings()
        job: dict[str, Any] = {'type_map': list(self.type_map), 'parameters': parameters, 'seed': self.seed}
        if self.force_field == 'deepmd':
            warm = self.start is not None
            settings = build_input(parameters, self.type_map, seed=self.seed, validation=True, warm=warm)
            (folder / deepmd.INPUT_FILE).write_text(json.dumps(settings))
            job = {'type_map': list(self.type_map), 'compression': parameters.get('compression')}
            job |= self._beginning(folder)
        (folder / stages.JOB_FILE).write_text(json.dumps(job))

    def _beginning(self, folder: Path) -> dict[str, Any]:
        if self.start is None:
            return {'initial': None, 'backend': None, 'sel': None, 'start': None}
        name = f'{deepmd.START_FILE}{SUFFIXES[self.backend]}'
        initial = self.start / deepmd.INITIAL_FILE
        # Where nothing was compressed there is only one file.
        shutil.copy(initial if initial.is_file() else self.start / stages.MODEL_FILE, folder / name)
        sel = json.loads((self.start / stages.RESULTS_FILE).read_text())['sel']
        return {'initial': name, 'backend': self.backend, 'sel': sel, 'start': [self.option]}


def one_thread(threads: int = 1) -> dict[str, str]:
    """Return the variables that bind a training to so many threads."""
    return dict.fromkeys(deepmd.ONE_THREAD, str(threads))


def environment(changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """Return the environment of a job: this package as it is checked out, one thread.

    :param changes: ``None`` takes a variable away.
    """
    values: dict[str, str | None] = {**os.environ, **one_thread(), 'PYTHONPATH': str(package_tree()), **(changes or {})}
    return {key: value for key, value in values.items() if value is not None}


def package_tree() -> Path:
    """Lay the package out for interpreters that have not installed it; one folder for each set of modules."""
    tracked = [path for name in PACKAGE_FOLDERS for path in (ROOT / name).rglob('*.py')]
    listed = '\n'.join(sorted(str(path.relative_to(ROOT)) for path in tracked))
    tree = ROOT / 'build' / 'benchmark_trees' / hashlib.sha256(listed.encode()).hexdigest()[:12]
    if not tree.is_dir():
        subprocess.run([sys.executable, str(ROOT / 'deploy' / 'link_tree.py'), str(tree)], check=True)
    return tree


@dataclass
class Process:
    """A process with what it took.

    :param command: arguments, the interpreter first.
    """

    command: Sequence[str]
    folder: Path
    changes: Mapping[str, str | None] = field(default_factory=dict)

    def begin(self) -> Process:
        """Begin it in its folder."""
        self._log = (self.folder / 'process.log').open('w')
        self._started = time.perf_counter()
        self._process = subprocess.Popen(
            self.command, cwd=self.folder, env=environment(self.changes), stdout=self._log, stderr=self._log
        )
        return self

    def end(self) -> dict[str, float]:
        """Wait for it and return the seconds of the clock, and those of processors with all that it began.

        :raises RuntimeError: if it fails, with its last words.
        """
        _, status, usage = os.wait4(self._process.pid, 0)
        wall = time.perf_counter() - self._started
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._log.close()
        if self._process.returncode:
            words = (self.folder / 'process.log').read_text(errors='replace')[-1500:]
            raise RuntimeError(f'{" ".join(self.command)} in {self.folder.name}: {words}')
        return {'wall': round(wall, 2), 'cpu': round(usage.ru_utime + usage.ru_stime, 2)}


def run(training: Training, folder: Path, python: str, **changes: str | None) -> dict[str, Any]:
    """Run a training whose files are there and return what it tells, with ``process`` seconds.

    :raises RuntimeError: if a stage fails.
    """
    variables = changes if training.force_field == 'pod' else {'DP_BACKEND': training.backend, **changes}
    seconds = Process([python, '-m', training.module], folder, variables).begin().end()
    outcome = json.loads((folder / stages.RESULTS_FILE).read_text())
    if outcome['failure']:
        raise RuntimeError(f'{folder.name}: {outcome["failure"]}')
    return {**outcome, 'process': seconds}
