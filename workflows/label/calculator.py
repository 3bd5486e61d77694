"""Labels from a potential or any other calculator of ASE, many frames in one job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import ProcessBuilder, ProcessSpec, ToContext, append_
from aiida.plugins import CalculationFactory, WorkflowFactory
from ase.data import chemical_symbols

from aiida_prospect.calculations.functions.merge_labels import merge_labels
from aiida_prospect.calculations.functions.take_unreached import take_unreached
from aiida_prospect.calculations.runners.evaluate import NOT_REACHED
from aiida_prospect.common.enums import JobLoss, LabelTask
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.data.potential import PotentialData, resolve_calculator
from aiida_prospect.methods.escalation import Demand
from aiida_prospect.methods.lammps_potentials import POTENTIALS
from aiida_prospect.methods.lammps_potentials import calculator as lammps_calculator
from aiida_prospect.workflows.label.base import LabelWorkChain
from aiida_prospect.workflows.label.codes import check_code
from aiida_prospect.workflows.label.costs import count_processes
from aiida_prospect.workflows.losses import demand_after, loss_of
from aiida_prospect.workflows.protocols import load_protocol

EvaluateCalculation = CalculationFactory('prospect.evaluate')
RelaxWorkChain = WorkflowFactory('prospect.relax')

LAMMPS = f'{lammps_calculator.__module__}:{lammps_calculator.__name__}'

RESULTS = ('evaluated', 'relaxed')
SILENT = {
    getattr(EvaluateCalculation.exit_codes, name).status: JobLoss.SILENT
    for name in ('ERROR_NO_RESULT', 'ERROR_INVALID_RESULT', 'ERROR_INCOMPLETE')
}


def validate_inputs(inputs: Mapping[str, Any], _: Any) -> str | None:
    """Refuse elements that the potential does not know, and a code that is not there."""
    if 'candidates' not in inputs or 'potential' not in inputs:
        return None
    known = inputs['potential'].type_map
    foreign = sorted(set(inputs['candidates'].elements) - set(known))
    if foreign:
        return f'the potential knows {", ".join(known)}, but there are candidates with {", ".join(foreign)}'
    return check_code(inputs['code']) if 'code' in inputs else None


class CalculatorLabelWorkChain(LabelWorkChain):
    """Label with one potential, in one job that is continued if it runs out of wall time."""

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
        """Sort out what the method is not asked for, and prepare the first job."""
        super().screen_candidates()
        self.ctx.jobs = []
        self.ctx.options = self.inputs.options.get_dict()

    def should_label(self) -> bool:
        """Tell whether there are frames that no job has reached, and reason to expect that another job reaches more."""
        if self.ctx.accepted is None:
            return False
        if not self.ctx.jobs:
            return True
        demand = self._next_demand()
        return demand is not None and (demand.granted or self._has_progressed())

    @property
    def potential(self) -> PotentialData:
        """The potential for the task."""
        return self.inputs.potential

    def _next_demand(self) -> Demand | None:
        """Return what the next job is to be given, ``None`` if none was lost; relaxations see to that themselves."""
        if not self.ctx.jobs or self.inputs.task.value == LabelTask.RELAX.value:
            return None
        *before, last = [loss_of(job, SILENT) for job in self.ctx.jobs]
        outputs = self.ctx.jobs[-1].outputs
        if last is None or ('evaluated' in outputs and not _count_unreached(outputs.evaluated)):
            return None
        losses = sum(loss in (JobLoss.NODE, JobLoss.SILENT) for loss in before)
        return demand_after(self.ctx.jobs[-1].computer, self.ctx.options, last, self.inputs.escalation, losses)

    def _has_progressed(self) -> bool:
        """Tell whether the last job has reached some frames but not all."""
        job = self.ctx.jobs[-1]
        return 'evaluated' in job.outputs and 0 < _count_unreached(job.outputs.evaluated) < len(job.outputs.evaluated)

    def _prepare_another(self, demand: Demand) -> DatasetData:
        """Set the options of the next job and return what it is to label."""
        job = self.ctx.jobs[-1]
        why = f'{str(job.exit_message).rstrip(".")}: {demand.sentence}'
        self.report(f'EvaluateCalculation<{job.pk}>: {why}; another job does the rest')
        self.ctx.options = demand.options
        if not self._has_progressed():
            return job.inputs.frames
        label = f'take_unreached_{len(self.ctx.jobs) + 1:02d}'
        return take_unreached(job.outputs.evaluated, metadata={'call_link_label': label})

    def label_candidates(self) -> Any:
        """Submit one job with all accepted candidates, or with those that the job before did not reach."""
        number, demand = len(self.ctx.jobs) + 1, self._next_demand()
        frames = self.ctx.accepted if demand is None else self._prepare_another(demand)
        inputs: dict[str, Any] = {
            'code': self.inputs.code,
            'frames': frames,
            'potentials': {'reference': self.potential},
            'metadata': {'options': self.ctx.options},
        }
        if self.inputs.task.value == LabelTask.RELAX.value:
            inputs['parameters'] = self.inputs.relax
            others = {'escalation': self.inputs.escalation, 'metadata': {'call_link_label': 'relax'}}
            job = self.submit(RelaxWorkChain, relax=inputs, **others)
        else:
            inputs['metadata']['call_link_label'] = f'evaluate_{number:02d}'
            job = self.submit(EvaluateCalculation, **inputs)
        return ToContext(jobs=append_(job))

    def collect_labels(self) -> Any:
        """Join what the jobs found with what was rejected."""
        parts, seconds = {}, 0.0
        for number, job in enumerate(self.ctx.jobs, start=1):
            parts.update({f'{key}_{number:02d}': job.outputs[key] for key in RESULTS if key in job.outputs})
            if 'statistics' in job.outputs:
                seconds += job.outputs.statistics.get('seconds', 0.0)
            if job.exit_status:
                self.report(f'{job.process_label}<{job.pk}> ended with {job.exit_status}: {job.exit_message}')
        core_seconds = seconds * count_processes(self.inputs.options.get('resources', {}))
        costs = {'task': self.inputs.task.value, 'seconds': seconds, 'core_seconds': core_seconds}
        if self.ctx.jobs and not parts:
            costs['failure'] = str(self.ctx.jobs[-1].exit_message)
        self.ctx.collected = merge_labels(
            self.ctx.screened, orm.Dict(costs), **parts, metadata={'call_link_label': 'merge_labels'}
        )


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
