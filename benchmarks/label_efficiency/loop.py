"""A search in this process: the steps of ``SearchWorkChain``, on the same functions, without AiiDA.

``tests/workflows/test_benchmark_loop.py`` compares both.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from aiida_prospect.common.enums import RelaxStatus
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.budget import decide_stop
from aiida_prospect.methods.clustered_pool import ClusteredPool
from aiida_prospect.methods.evaluators.ensemble import Ensemble
from aiida_prospect.methods.labels import count_labels, count_usable, lowest_energy
from aiida_prospect.methods.pool.generate import generate_from_parameters
from aiida_prospect.methods.pool.recipe import PoolError
from aiida_prospect.methods.refill import refill_from_parameters
from aiida_prospect.methods.relaxation.driver import Relaxation
from aiida_prospect.methods.relaxation.slices import count_slices, merge_slices
from benchmarks.label_efficiency.clock import CLOCK
from benchmarks.label_efficiency.force_field import Training
from benchmarks.label_efficiency.networks import NetworkTraining, Start
from benchmarks.label_efficiency.reference import Reference
from benchmarks.label_efficiency.settings import SearchSettings

# Names of sets of labels, as in the work chain: they sort by cycle.
CYCLE = 'cycle_'
BEFORE = 'before_00'


@dataclass
class Cycle:
    """What a cycle gave.

    :param clustered: the relaxed pool.
    :param evaluations: of the force fields, all members together counting once.
    """

    labels: Frames
    clustered: ClusteredPool
    assessment: dict[str, Any]
    training: dict[str, Any]
    evaluations: int


@dataclass
class Outcome:
    """A search that has ended.

    :param final: structures relaxed with the reference method.
    :param seconds: of the processor, by stage.
    """

    cycles: list[Cycle] = field(default_factory=list)
    stop: dict[str, Any] = field(default_factory=dict)
    final: Frames = field(default_factory=Frames.empty)
    seconds: Counter[str] = field(default_factory=Counter)
    wall_seconds: float = 0.0

    @property
    def labels(self) -> Frames:
        """All labels, in the order in which they were made."""
        return Frames.concatenate([cycle.labels for cycle in self.cycles])


class Search:
    """One search.

    :param surface: that labels.
    :param before: labels from elsewhere that it begins with; they do not count.
    :param start: a pretrained network that trainings begin with.
    :param uncertain_are_minima: whether crystals whose relaxation ended because the ensemble disagrees are minima.
    """

    def __init__(
        self,
        settings: SearchSettings,
        surface: Ensemble,
        before: Frames | None = None,
        start: Start | None = None,
        *,
        uncertain_are_minima: bool = False,
    ) -> None:
        self.settings, self.start, self.uncertain_are_minima = settings, start, uncertain_are_minima
        self.reference = Reference(surface, settings.label)
        self.outcome = Outcome()
        self.labels: dict[str, Frames] = {} if before is None else {BEFORE: before}

    def run(self) -> Outcome:
        """Run to the end.

        :raises NoForceFieldError: if there is none in a cycle.
        """
        started = CLOCK.wall
        with TemporaryDirectory(prefix='search-') as folder:
            training = self._training(Path(folder))
            with self._stage('rest'):
                pool, _ = generate_from_parameters(self.settings.pool)
                clustered = self._cluster(pool)
            while not self.outcome.stop:
                clustered = self._cycle(clustered, training)
            self._finish(clustered)
        self.outcome.wall_seconds = CLOCK.wall - started
        return self.outcome

    def _training(self, folder: Path) -> Training:
        if self.settings.train['force_field'] == 'pod':
            return Training(self.settings, folder)
        return NetworkTraining(self.settings, folder, self.start)

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        started = CLOCK.processor
        yield
        self.outcome.seconds[name] += CLOCK.processor - started

    def _cluster(self, pool: Frames) -> ClusteredPool:
        return ClusteredPool.of(pool, self.settings.selection['clusters'])

    def _cycle(self, clustered: ClusteredPool, training: Training) -> ClusteredPool:
        number = len(self.outcome.cycles)
        name = f'{CYCLE}{number:02d}'
        with self._stage('rest'):
            candidates = self._select(clustered, number)
        if len(candidates):
            with self._stage('label'):
                self.labels[name] = self.reference.label(candidates)
        if len(candidates) or number == 0:
            with self._stage('train'):
                self.ensemble, self.judgement = training.run(self.labels, number)
        with self._stage('rest'):
            pool = self._refill(clustered, number)
        with self._stage('relax'):
            relaxed, evaluations = self._explore(pool)
        with self._stage('rest'):
            clustered = self._cluster(relaxed)
            assessment = self._assess(clustered, number)
        labels = self.labels.get(name, Frames.empty())
        cycle = Cycle(labels, clustered, assessment, self.judgement, evaluations)
        self.outcome.cycles.append(cycle)
        spent = sum(self.outcome.seconds.values())
        sys.stderr.write(f'cycle {number}: {self._n_labels} labels, {spent:.0f} seconds of the processor\n')
        return clustered

    def _select(self, clustered: ClusteredPool, number: int) -> Frames:
        values = dict(self.settings.selection['selection'])
        first, later = values.pop('n_initial'), values.pop('n_select')
        wanted = max(first - sum(map(count_usable, self.labels.values())), 0) if number == 0 else later
        if number > 0 and not self.outcome.cycles[-1].assessment['needs_labels']:
            wanted = 0
        limit = self.settings.search['budget']['max_labels']
        if limit is not None:
            wanted = min(wanted, limit - self._n_labels)
        if wanted < 1:
            return Frames.empty()
        parameters = {**values, 'n_select': wanted, 'cycle': number, 'seed': self.settings.seed}
        return clustered.select(parameters, self.labels)

    @property
    def _n_labels(self) -> int:
        return sum(count_labels(labels) for name, labels in self.labels.items() if name.startswith(CYCLE))

    def _refill(self, clustered: ClusteredPool, number: int) -> Frames:
        if number == 0:
            return clustered.frames
        parameters = {
            **self.settings.pool,
            **self.settings.search['refill'],
            'seed': self.settings.seed,
            'cycle': number,
            'keep_uncertain': f'{CYCLE}{number:02d}' in self.labels,
        }
        try:
            return refill_from_parameters(clustered.frames, clustered.clusters.labels, parameters)[0]
        except PoolError:
            return clustered.frames

    def _explore(self, pool: Frames) -> tuple[Frames, int]:
        lowest = min(lowest_energy(labels, self.settings.pool['composition']) for labels in self.labels.values())
        settings = self.settings.relaxation(lowest)
        values = self.settings.explore
        n_slices = count_slices(len(pool), values['slice_size'], values['max_concurrent'])
        parts, evaluations = {}, 0
        for number in range(n_slices):
            frames = pool.select(range(number, len(pool), n_slices)).without('status', 'reason')
            relaxation = Relaxation(frames, self.ensemble, settings)
            parts[number] = relaxation.run()
            evaluations += int(relaxation.counters['evaluations'])
        return self._judged(merge_slices(pool, n_slices, parts)), evaluations

    def _judged(self, relaxed: Frames) -> Frames:
        """Return relaxed frames, where the method has it so with those that the ensemble disagrees on as minima."""
        if not self.uncertain_are_minima:
            return relaxed
        uncertain = relaxed.known('status') == str(RelaxStatus.UNCERTAIN)
        return relaxed.replace(status=np.where(uncertain, str(RelaxStatus.NO_PROGRESS), relaxed.known('status')))

    def _assess(self, clustered: ClusteredPool, number: int) -> dict[str, Any]:
        parameters = {**self.settings.selection['convergence'], 'cycle': number}
        before = self.outcome.cycles[-1].assessment if self.outcome.cycles else None
        assessment = clustered.assess(parameters, self.labels, before)
        spent = {'labels': self._n_labels, 'cycles': number + 1, 'core_hours': 0.0}
        stop = decide_stop(assessment, {**self.settings.search['budget'], 'max_core_hours': None}, spent)
        if stop['reason'] is not None:
            self.outcome.stop = stop
        return assessment

    def _finish(self, clustered: ClusteredPool) -> None:
        tolerance = self.settings.selection['clusters']['tolerance']
        with self._stage('rest'):
            finalists = clustered.finalists({**self.settings.search['final'], 'tolerance': tolerance}, self.labels)
        with self._stage('label'):
            if len(finalists):
                self.outcome.final = self.reference.relax(finalists)
