"""Relaxation of a whole pool with an ensemble of potentials, in a few jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import ExitCode, ProcessBuilder, ProcessSpec, WorkChain, append_, while_
from aiida.plugins import CalculationFactory

from aiida_prospect.calculations.relax import check_elements, validate_parameters
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.data.potential import PotentialData
from aiida_prospect.methods.relaxation.slices import count_slices
from aiida_prospect.workflows.codes import check_job
from aiida_prospect.workflows.delivery import PatientProcess
from aiida_prospect.workflows.label.costs import RunCost, core_seconds, is_from_cache
from aiida_prospect.workflows.losses import define_escalation
from aiida_prospect.workflows.protocols import load_protocol
from aiida_prospect.workflows.relax import RelaxWorkChain
from aiida_prospect.workflows.validators import validate_positive

merge_slices = CalculationFactory('prospect.merge_slices')


def validate_inputs(inputs: Mapping[str, Any], _: Any) -> str | None:
    """Refuse a code or options that jobs cannot have, an empty pool, and elements that a potential does not know."""
    refusal = check_job(inputs['code'], inputs['options'].get_dict()) if 'code' in inputs else None
    if refusal or any(key not in inputs for key in ('pool', 'potentials')):
        return refusal
    return check_elements(inputs['pool'], inputs['potentials']) if len(inputs['pool']) else 'the pool is empty'


class ExploreWorkChain(PatientProcess, WorkChain):
    """Relax all structures of a pool on the mean of an ensemble of potentials.

    The pool is divided into slices; each is one job, continued from its checkpoint when the wall time is over. Every
    frame comes back, in its place, with its status; those of a slice whose job failed for good are ``unfinished``.
    """

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define the process."""
        super().define(spec)
        spec.input('pool', valid_type=DatasetData, help='What to relax.')
        spec.input_namespace('potentials', valid_type=PotentialData, dynamic=True, help='The ensemble.')
        spec.input('code', valid_type=orm.AbstractCode, help='Python interpreter of the compute side.')
        spec.input(
            'parameters',
            valid_type=orm.Dict,
            default=lambda: orm.Dict({}),
            validator=validate_parameters,
            help='Of `RelaxCalculation`, without `slice`.',
        )
        spec.input('slice_size', valid_type=orm.Int, default=lambda: orm.Int(1000), validator=validate_positive)
        spec.input('max_concurrent', valid_type=orm.Int, default=lambda: orm.Int(2), validator=validate_positive)
        spec.input('options', valid_type=orm.Dict, default=lambda: orm.Dict({}), help='Scheduler options of each job.')
        define_escalation(spec)
        spec.inputs.validator = validate_inputs
        spec.outline(
            cls.setup,
            while_(cls.should_run_slices)(cls.run_slices, cls.inspect_slices),
            cls.results,
        )
        spec.output('pool', valid_type=DatasetData, required=False, help='The same frames, relaxed.')
        spec.output('report', valid_type=orm.Dict, required=False, help='Counts by status, steps, core seconds.')
        spec.output('trajectories', valid_type=DatasetData, required=False, help='Frames on the way.')
        spec.exit_code(401, 'ERROR_ALL_SLICES_FAILED', message='No slice of the pool was relaxed: {detail}')
        spec.exit_code(
            501, 'ERROR_SOME_SLICES_FAILED', message='{failed} of {slices} slices are not or not all relaxed: {detail}'
        )

    @classmethod
    def get_builder_from_protocol(
        cls,
        pool: DatasetData,
        potentials: Mapping[str, PotentialData],
        code: orm.AbstractCode,
        *,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Return a builder with the values of a protocol, see ``protocols/explore.yaml``.

        :raises ProtocolError: if the protocol is unknown or an override is misspelt.
        """
        builder = cls.get_builder()
        builder.pool = pool
        builder.potentials = dict(potentials)
        cls.fill_from_protocol(builder, code, protocol=protocol, overrides=overrides)
        return builder

    @classmethod
    def fill_from_protocol(
        cls,
        builder: Any,
        code: orm.AbstractCode,
        *,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        """Set the inputs other than pool and potentials, also in the namespace of another work chain."""
        values = load_protocol('explore', protocol, overrides)
        builder.code = code
        builder.parameters = orm.Dict(values['parameters'])
        builder.options = orm.Dict(values['options'])
        builder.escalation = orm.Dict(values['escalation'])
        builder.slice_size = orm.Int(values['slice_size'])
        builder.max_concurrent = orm.Int(values['max_concurrent'])

    def setup(self) -> None:
        """Divide the pool."""
        self.ctx.n_slices = count_slices(
            len(self.inputs.pool), self.inputs.slice_size.value, self.inputs.max_concurrent.value
        )
        self.ctx.next = 0
        self.ctx.results = {}
        # Core seconds of jobs that were killed before they could tell, by the name of their statistics.
        self.ctx.untold = {}
        self.ctx.failures = []
        self.report(f'{len(self.inputs.pool)} structures in {self.ctx.n_slices} slices')

    def should_run_slices(self) -> bool:
        """Tell whether there are slices left."""
        return bool(self.ctx.next < self.ctx.n_slices)

    def run_slices(self) -> None:
        """Launch as many as may run at the same time."""
        self.ctx.running = []
        stop = min(self.ctx.next + self.inputs.max_concurrent.value, self.ctx.n_slices)
        for number in range(self.ctx.next, stop):
            parameters = {**self.inputs.parameters.get_dict(), 'slice': [number, None, self.ctx.n_slices]}
            inputs = {
                'code': self.inputs.code,
                'frames': self.inputs.pool,
                'potentials': dict(self.inputs.potentials),
                'parameters': orm.Dict(parameters),
                'metadata': {'options': self.inputs.options.get_dict()},
            }
            label = {'call_link_label': f'slice_{number:03d}'}
            slices = self.submit(RelaxWorkChain, relax=inputs, escalation=self.inputs.escalation, metadata=label)
            self.to_context(running=append_(slices))
        self.ctx.first, self.ctx.next = self.ctx.next, stop

    def inspect_slices(self) -> None:
        """Take what was relaxed."""
        for number, node in enumerate(self.ctx.running, start=self.ctx.first):
            for name in ('relaxed', 'trajectories'):
                if name in node.outputs:
                    self.ctx.results[f'{name}_{number:03d}'] = node.outputs[name]
            for order, job in enumerate(sorted(node.called, key=lambda called: called.pk)):
                name = f'statistics_{number:03d}_{order:02d}'
                if 'statistics' not in job.outputs:
                    self.ctx.untold[name] = core_seconds(job, RunCost())
                elif not is_from_cache(job):
                    self.ctx.results[name] = job.outputs.statistics
            if not node.is_finished_ok:
                self.ctx.failures.append(f'slice {number}: {node.exit_message or node.process_state.value}')
                self.report(self.ctx.failures[-1])

    def results(self) -> ExitCode | None:
        """Put the pool together."""
        if not any(key.startswith('relaxed_') for key in self.ctx.results):
            return self.exit_codes.ERROR_ALL_SLICES_FAILED.format(detail='; '.join(self.ctx.failures))
        merged = merge_slices(
            pool=self.inputs.pool,
            n_slices=orm.Int(self.ctx.n_slices),
            **self.ctx.results,
            **{name: orm.Dict({'core_seconds': seconds}) for name, seconds in self.ctx.untold.items()},
            metadata={'call_link_label': 'merge'},
        )
        for name, node in merged.items():
            self.out(name, node)
        self.report(f'relaxed: {merged["report"]["by_status"]}')
        if self.ctx.failures:
            return self.exit_codes.ERROR_SOME_SLICES_FAILED.format(
                failed=len(self.ctx.failures), slices=self.ctx.n_slices, detail='; '.join(self.ctx.failures)
            )
        return None
