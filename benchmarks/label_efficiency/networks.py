"""Training of networks of DeePMD-kit in searches of the benchmark, each in a process of its own as jobs have it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiida_prospect.calculations.runners import stages
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.evaluators.base import Evaluator
from aiida_prospect.methods.evaluators.ensemble import Ensemble
from aiida_prospect.methods.evaluators.loading import load_evaluator
from aiida_prospect.methods.evaluators.neighbours import Neighbourhoods
from aiida_prospect.methods.training_set import divide
from benchmarks.conditions import ROOT
from benchmarks.label_efficiency.force_field import Training
from benchmarks.label_efficiency.settings import SearchSettings
from benchmarks.training_cost import jobs
from benchmarks.training_cost.models import Laboratory, type_map_of
from benchmarks.training_cost.rows import ROWS, TENSORFLOW

MODEL = 'ensemble_member.pb'


@dataclass(frozen=True)
class Start:
    """A pretrained model.

    :param folder: of its training.
    """

    folder: Path
    type_map: list[str]

    @classmethod
    def of(cls, name: str) -> Start:
        """Return the model of a row of :mod:`benchmarks.training_cost`, trained now unless it is there."""
        laboratory = Laboratory(ROOT / 'build' / 'training_cost', ROOT / 'benchmarks/results/training_cost', {})
        folder = laboratory.work / name
        if not (folder / stages.MODEL_FILE).is_file():
            # Results are kept with the repository, models are not.
            (laboratory.results / 'models' / f'{name}.json').unlink(missing_ok=True)
            laboratory.make(name)
        return cls(folder, type_map_of(ROWS[name]))


class NetworkTraining(Training):
    """The trainings of one search; each member goes on from that of the cycle before.

    :param folder: for models.
    :param start: what those of the first cycle, and members that are trained again, begin with.
    """

    def __init__(self, settings: SearchSettings, folder: Path, start: Start | None) -> None:
        super().__init__(settings, folder)
        self.start = start
        self._before: dict[str, Path] = {}
        self._now: dict[str, Path] = {}
        self._neighbourhoods = Neighbourhoods()

    def run(self, labels: Mapping[str, Frames], cycle: int) -> tuple[Ensemble, dict[str, Any]]:
        """Train all members, see :meth:`Training.run`."""
        self._now = {}
        ensemble, judgement = super().run(labels, cycle)
        self._before = {name: self._now[name] for name in judgement['accepted']}
        return ensemble, judgement

    def _type_map(self, frames: Frames) -> list[str]:
        return super()._type_map(frames) if self.start is None else self.start.type_map

    def _member(self, name: str, frames: Frames, type_map: list[str], seed: int) -> dict[str, Any]:
        training, validation = divide(frames, self.settings.member, seed)
        # As in the work chain, what is trained again does not go on from what came out badly.
        before = None if name in self._now else self._before.get(name)
        pretrained = None if self.start is None else self.start.folder
        job = jobs.Training(
            parameters=self.settings.member,
            start=before or pretrained,
            option='--init-frz-model' if before else '--finetune',
            seed=seed,
            type_map=type_map,
        )
        folder = self.folder / f'{name}_{seed}'
        job.write(folder, training, validation)
        self._now[name] = folder
        return jobs.run(job, folder, sys.executable)

    def _evaluator(self, name: str, type_map: list[str]) -> Evaluator:
        shutil.copy(self._now[name] / stages.MODEL_FILE, self._now[name] / MODEL)
        given = {'backend': TENSORFLOW, 'file': MODEL, 'type_map': type_map}
        return load_evaluator(given, self._now[name], self._neighbourhoods)
