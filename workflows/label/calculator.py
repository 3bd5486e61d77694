"""Labels from a potential or any other calculator of ASE, many frames in one job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ProcessBuilder, ProcessSpec
from aiida.plugins import CalculationFactory, WorkflowFactory
from ase.data import chemical_symbols

from aiida_prospect.calculations.functions.merge_labels import merge_labels
from aiida_prospect.calculations.functions.take_bundle import take_bundle
from aiida_prospect.calculations.functions.take_unreached import take_unreached
from aiida_prospect.calculations.relax import validate_parameters
from aiida_prospect.calculations.runners.evaluate import NOT_REACHED
from aiida_prospect.common.enums import JobLoss, LabelTask
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.data.potential import PotentialData, resolve_calculator
from aiida_prospect.methods.escalation import Demand
from aiida_prospect.methods.labels import divide_evenly
from aiida_prospect.methods.lammps_potentials import POTENTIALS
from aiida_prospect.methods.lammps_potentials import calculator as lammps_calculator
from aiida_prospect.workflows.codes import check_job
from aiida_prospect.workflows.label.costs import core_seconds_untold, count_cores, is_from_cache
from aiida_prospect.workflows.label.window import WindowLabelWorkChain
from aiida_prospect.workflows.losses import demand_after, loss_of
from aiida_prospect.workflows.protocols import load_protocol

EvaluateCalculation = CalculationFactory('prospect.evaluate')
RelaxWorkChain = WorkflowFactory('prospect.relax')

LAMMPS = f'{lammps_calculator.__module__}:{lammps_calculator.__name__}'

BUNDLE = 'bundle_'
RESULTS = ('evaluated', 'relaxed')
SILENT = {
    getattr(EvaluateCalculation.exit_codes, name).status: JobLoss.SILENT
    for name in ('ERROR_NO_RESULT', 'ERROR_INVALID_RESULT', 'ERROR_INCOMPLETE')
}


def validate_inputs(inputs: Mapping[str, Any], _: Any) -> str | None:
    """Refuse elements that the potential does not know, and a code or options that jobs cannot have."""
    if 'candidates' not in inputs or 'potential' not in inputs:
        return None
    known = inputs['potential'].type_map
    foreign = sorted(set(inputs['candidates'].elements) - set(known))
    if foreign:
        return f'the potential knows {", ".join(known)}, but there are candidates with {", ".join(foreign)}'
    return check_job(inputs['code'], inputs['options'].get_dict()) if 'code' in inputs else None


def validate_frames_per_job(number: orm.Int | None, _: Any) -> str | None:
    """Refuse jobs without frames."""
    if number is None or number.value >= 1:
        return None
    return f'`frames_per_job` is {number.value}, it must be at least 1'


class CalculatorLabelWorkChain(WindowLabelWorkChain):
    """Label with one potential, many frames in each job, which is continued if it runs out of wall time.

    All frames are one job unless ``frames_per_job`` says otherwise; then ``max_concurrent`` jobs run side by side, and
    one that is lost takes only its own frames with it, which another one labels.
    """

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define what is needed beyond the contract."""
        super().define(spec)
        spec.input('code', valid_type=orm.AbstractCode, help='Python interpreter of the compute side.')
        spec.input('potential', valid_type=PotentialData, help='The reference method.')
        spec.input(
            'relax',
            valid_type=orm.Dict,
            default=lambda: orm.Dict({}),
            validator=validate_parameters,
            serializer=orm.to_aiida_type,
            help='Fields of `RelaxSettings`, for the task `relax`.',
        )
        spec.input(
            'options',
            valid_type=orm.Dict,
            default=lambda: orm.Dict({}),
            serializer=orm.to_aiida_type,
            help='`metadata.options` of the jobs.',
        )
        spec.input(
            'frames_per_job',
            valid_type=orm.Int,
            required=False,
            validator=validate_frames_per_job,
            serializer=orm.to_aiida_type,
            help='Most frames of a job; by default all are one job.',
        )
        spec.inputs.validator = validate_inputs

    @classmethod
    def get_builder_from_protocol(
        cls,
        candidates: DatasetData | None,
        *,
        code: orm.AbstractCode,
        calculator: str = 'lammps',
        arguments: Mapping[str, Any] | None = None,
        elements: Sequence[str] | None = None,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Return a builder with the inputs of a protocol.

        :param candidates: ``None`` if they do not exist yet.
        :param code: Python interpreter of the compute side.
        :param calculator: entry point of the group ``aiida_prospect.calculators`` or dotted path ``module:factory``.
        :param arguments: of the factory; for ``lammps``: ``potential``, one of
            :data:`~aiida_prospect.methods.lammps_potentials.POTENTIALS`.
        :param elements: that the calculator knows; ``None`` if it says so itself or knows all.
        :raises ValueError: if the calculator or the potential is unknown.
        """
        values = load_protocol('label_calculator', protocol, overrides)
        path = resolve_calculator(calculator)
        arguments = dict(arguments or {})
        builder = cls.get_builder()
        if candidates is not None:
            builder.candidates = candidates
        builder.code = code
        builder.potential = PotentialData.from_calculator(
            path, arguments, elements=elements or _known_elements(path, arguments)
        )
        builder.prechecks = orm.Dict(values['prechecks'])
        builder.max_failed_fraction = orm.Float(values['max_failed_fraction'])
        builder.relax = orm.Dict(values['relax'])
        builder.options = orm.Dict({**values['options'], **(options or {})})
        builder.escalation = orm.Dict(values['escalation'])
        fill_bundles(builder, values)
        return builder

    @classmethod
    def method_of(cls, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the code, and the calculator that the potential stands for."""
        attributes = inputs['potential'].base.attributes
        calculator = {key: attributes.get(key) for key in ('calculator', 'arguments')}
        return {**super().method_of(inputs), **calculator, 'elements': inputs['potential'].type_map}

    @classmethod
    def settings_of(cls, inputs: Mapping[str, Any], elements: Sequence[str]) -> dict[str, Any]:
        """Return the name of the calculator."""
        attributes = inputs['potential'].base.attributes
        arguments = ', '.join(f'{key}={value}' for key, value in sorted(attributes.get('arguments').items()))
        return {'code': f'{attributes.get("calculator")}({arguments})'}

    def screen_candidates(self) -> None:
        """Sort out what the method is not asked for, and line up the bundles."""
        super().screen_candidates()
        n_frames = 0 if self.ctx.accepted is None else len(self.ctx.accepted)
        size = self.inputs.frames_per_job.value if 'frames_per_job' in self.inputs else n_frames
        self.ctx.bounds = divide_evenly(n_frames, size)
        self.ctx.waiting = [key_of_job(number, 1) for number in range(len(self.ctx.bounds))]
        # By number of the bundle: what its next job is given, and how its jobs were lost.
        self.ctx.options, self.ctx.losses = {}, {}
        # By key: what a job labels, and the job once it has ended.
        self.ctx.frames, self.ctx.ended = {}, {}

    @property
    def potential(self) -> PotentialData:
        """The potential for the task."""
        return self.inputs.potential

    @property
    def _relaxes(self) -> bool:
        return bool(self.inputs.task.value == LabelTask.RELAX.value)

    def _options_of(self, bundle: str) -> dict[str, Any]:
        options: dict[str, Any] = self.ctx.options.get(bundle, self.inputs.options.get_dict())
        return options

    def submit_frame(self, key: str) -> orm.ProcessNode:
        """Submit a job for a bundle of candidates, or for those of it that the job before did not reach."""
        frames = self._frames_of(key)
        inputs: dict[str, Any] = {
            'code': self.inputs.code,
            'frames': frames,
            'potentials': {'reference': self.potential},
            'metadata': {'options': self._options_of(str(bundle_of(key)))},
        }
        label = self._call_label(key, frames)
        if self._relaxes:
            inputs['parameters'] = self.inputs.relax
            others = {'escalation': self.inputs.escalation, 'metadata': {'call_link_label': label}}
            return self.submit(RelaxWorkChain, relax=inputs, **others)
        inputs['metadata']['call_link_label'] = label
        return self.submit(EvaluateCalculation, **inputs)

    def _frames_of(self, key: str) -> DatasetData:
        if key not in self.ctx.frames:
            self.ctx.frames[key] = self._take_bundle(bundle_of(key))
        frames: DatasetData = self.ctx.frames[key]
        return frames

    def _take_bundle(self, number: int) -> DatasetData:
        if len(self.ctx.bounds) == 1:
            return self.ctx.accepted
        first, end = self.ctx.bounds[number]
        metadata = {'call_link_label': f'take_bundle_{number:03d}'}
        return take_bundle(self.ctx.accepted, orm.Int(first), orm.Int(end), metadata=metadata)

    def _call_label(self, key: str, frames: DatasetData) -> str:
        """Return the name of a job; of one of several with the first and the last candidate that it is about."""
        attempt = key.split('_')[2]
        name = 'relax' if self._relaxes else f'evaluate_{attempt}'
        if len(self.ctx.bounds) == 1:
            return name
        source = frames.frames.known('source')
        return f'frames_{int(source.min()):04d}_{int(source.max()):04d}_{name}'

    def inspect_frame(self, key: str, process: orm.ProcessNode) -> None:
        """Take note of a job; if it was lost, line up another one for what it has not reached."""
        self.ctx.ended = {**self.ctx.ended, key: process.pk}
        if process.exit_status:
            said = f'ended with {process.exit_status}: {process.exit_message}'
            self.report(f'{process.process_label}<{process.pk}> {said}')
        bundle, demand = str(bundle_of(key)), self._next_demand(key, process)
        if demand is None or not (demand.granted or has_progressed(process)):
            return
        again = key_of_job(bundle_of(key), int(key.split('_')[2]) + 1)
        self.report(f'{process.process_label}<{process.pk}>: {demand.sentence}; another job does the rest')
        self.ctx.options = {**self.ctx.options, bundle: demand.options}
        self.ctx.frames[again] = self._frames_of(key)
        if has_progressed(process):
            label = f'take_unreached_{again.removeprefix(BUNDLE)}'
            self.ctx.frames[again] = take_unreached(process.outputs.evaluated, metadata={'call_link_label': label})
        self.ctx.waiting.append(again)

    def _next_demand(self, key: str, process: orm.ProcessNode) -> Demand | None:
        """Return what the next job of a bundle is given, ``None`` if there is none; relaxations see to it."""
        if self._relaxes:
            return None
        loss = JobLoss.SILENT if process.is_excepted else loss_of(process, SILENT)
        if loss is None or ('evaluated' in process.outputs and not _count_unreached(process.outputs.evaluated)):
            return None
        bundle = str(bundle_of(key))
        before = self.ctx.losses.get(bundle, [])
        self.ctx.losses = {**self.ctx.losses, bundle: [*before, loss.value]}
        losses = sum(JobLoss(earlier) in (JobLoss.NODE, JobLoss.SILENT) for earlier in before)
        options = self._options_of(bundle)
        return demand_after(self.inputs.code.computer, options, loss, self.inputs.escalation, losses)

    def collect_labels(self) -> Any:
        """Join what the jobs found with what was rejected."""
        parts: dict[str, Any] = {}
        failures: dict[int, Any] = {}
        seconds, untold = 0.0, 0.0
        for key in sorted(self.ctx.ended):
            job = orm.load_node(self.ctx.ended[key])
            found = {f'{name}_{key.removeprefix(BUNDLE)}': job.outputs[name] for name in RESULTS if name in job.outputs}
            parts |= found
            if 'statistics' in job.outputs and not is_from_cache(job):
                seconds += job.outputs.statistics.get('seconds', 0.0)
            untold += core_seconds_untold(job)
            failures[bundle_of(key)] = None if found else job.exit_message or job.exception or 'the job was killed'
        cores = count_cores(self.inputs.options.get('resources', {}), self.inputs.code.computer)
        costs = {'task': self.inputs.task.value, 'seconds': seconds, 'core_seconds': seconds * cores + untold}
        missing = [str(words).strip().splitlines()[-1] for words in failures.values() if words]
        if missing:
            costs['failure'] = missing[-1]
        self.ctx.collected = merge_labels(
            self.ctx.screened, orm.Dict(costs), **parts, metadata={'call_link_label': 'merge_labels'}
        )


def fill_bundles(builder: ProcessBuilder, values: Mapping[str, Any]) -> None:
    """Set how candidates are divided among jobs.

    :param values: of the protocol; ``frames_per_job`` is ``None`` for one job.
    """
    builder.max_concurrent = orm.Int(values['max_concurrent'])
    if values['frames_per_job'] is not None:
        builder.frames_per_job = orm.Int(values['frames_per_job'])


def key_of_job(bundle: int, attempt: int) -> str:
    """Return the name of a job among those of a labelling."""
    return f'{BUNDLE}{bundle:03d}_{attempt:02d}'


def bundle_of(key: str) -> int:
    """Return the number of the bundle that a job is for."""
    return int(key.split('_')[1])


def has_progressed(job: orm.ProcessNode) -> bool:
    """Tell whether a job has reached some frames but not all."""
    return 'evaluated' in job.outputs and 0 < _count_unreached(job.outputs.evaluated) < len(job.outputs.evaluated)


def _count_unreached(evaluated: DatasetData) -> int:
    return int(np.sum(evaluated.frames.known('reason') == NOT_REACHED))


def _known_elements(path: str, arguments: Mapping[str, Any]) -> Sequence[str]:
    """Return what the calculator knows.

    :raises ValueError: if it is that of LAMMPS and the potential is unknown.
    """
    if path != LAMMPS:
        return chemical_symbols[1:]
    if arguments.get('potential') not in POTENTIALS:
        known = ', '.join(sorted(POTENTIALS))
        raise ValueError(f'`{arguments.get("potential")}` is not a known potential; choose one of: {known}')
    return POTENTIALS[arguments['potential']].elements
