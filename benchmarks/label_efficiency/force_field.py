"""Training of an ensemble in this process, as ``TrainEnsembleWorkChain`` has it done by jobs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiida_prospect.calculations.runners.stages import StageError
from aiida_prospect.calculations.runners.train_pod import fit_model
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.cleaning import clean_sets
from aiida_prospect.methods.deepmd_input import type_map_of
from aiida_prospect.methods.ensemble_judgement import MAX_ATTEMPTS, judge_results, member_seed
from aiida_prospect.methods.evaluators.base import Evaluator
from aiida_prospect.methods.evaluators.ensemble import Ensemble
from aiida_prospect.methods.evaluators.pod import PodEvaluator, mean_of
from aiida_prospect.methods.pod_equations import FrameEquations, equations
from aiida_prospect.methods.pod_model import Repulsion
from aiida_prospect.methods.training_set import divide, gather
from benchmarks.label_efficiency.settings import SearchSettings


class NoForceFieldError(RuntimeError):
    """Not one good force field could be trained."""


class KnownEquations:
    """Equations of frames, each made once; jobs of a work chain make them for each member in each cycle."""

    def __init__(self) -> None:
        self._known: dict[bytes, FrameEquations] = {}

    def __call__(
        self, frames: Frames, descriptor: str, type_map: Sequence[str], repulsion: Repulsion | None
    ) -> list[FrameEquations]:
        """Return the equations, see :func:`~aiida_prospect.methods.pod_equations.equations`."""
        keys = [b''.join(value.tobytes() for value in frames[index].arrays().values()) for index in range(len(frames))]
        new = [index for index, key in enumerate(keys) if key not in self._known]
        if new:
            made = equations(frames.select(new), descriptor, type_map, repulsion)
            self._known |= {keys[index]: rows for index, rows in zip(new, made, strict=True)}
        return [self._known[key] for key in keys]


class Training:
    """The trainings of one search, with ML-POD.

    :param folder: for models.
    """

    def __init__(self, settings: SearchSettings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        self.equations = KnownEquations()

    def run(self, labels: Mapping[str, Frames], cycle: int) -> tuple[Ensemble, dict[str, Any]]:
        """Clean the labels, train all members, and once more those that are worse than the others.

        :param labels: of all cycles.
        :return: the ensemble of the good members, and the judgement.
        :raises NoForceFieldError: if none is good.
        """
        values = self.settings.train
        acceptance = clean_sets(labels, values['cleaning'])
        rejected = {name: [int(i) for i in reasons] for name, reasons in acceptance['rejected'].items()}
        frames = gather(labels, rejected)
        type_map = self._type_map(Frames.concatenate(list(labels.values())))
        seed = 1000 * self.settings.seed + cycle
        results: dict[str, dict[str, Any]] = {}
        failures: dict[str, str] = {}
        attempts = dict.fromkeys(range(values['n_models']), 0)
        queue = list(attempts)
        while queue:
            for index in queue:
                name = f'member_{index:02d}'
                results.pop(name, None)
                failures.pop(name, None)
                try:
                    results[name] = self._member(name, frames, type_map, member_seed(seed, index, attempts[index]))
                except StageError as error:
                    failures[name] = str(error)
                attempts[index] += 1
            judgement = judge_results(results, failures, values['ensemble'])
            refused = [int(name.rpartition('_')[2]) for name in judgement['refused']]
            queue = [index for index in refused if attempts[index] < MAX_ATTEMPTS]
        if not judgement['accepted']:
            raise NoForceFieldError(str(judgement['refused']))
        evaluators = [self._evaluator(name, type_map) for name in judgement['accepted']]
        return Ensemble(evaluators, mean_of(evaluators)), {**judgement, 'rejected': sum(map(len, rejected.values()))}

    def _type_map(self, frames: Frames) -> list[str]:
        return type_map_of(set(frames.elements))

    def _member(self, name: str, frames: Frames, type_map: list[str], seed: int) -> dict[str, Any]:
        started = time.monotonic()
        training, validation = divide(frames, self.settings.member, seed)
        job = {'type_map': type_map, 'parameters': self.settings.member, 'seed': seed}
        result = fit_model(job, training, validation, self.folder / name, self.equations)
        return {**result, 'total_seconds': time.monotonic() - started}

    def _evaluator(self, name: str, type_map: list[str]) -> Evaluator:
        return PodEvaluator(self.folder / name, type_map=type_map)
