"""What trainings of all force fields do when something goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from aiida.common import AttributeDict
from aiida.engine import (
    ExitCode,
    ProcessBuilder,
    ProcessHandlerReport,
    ProcessSpec,
    process_handler,
    while_,
)
from aiida.orm import AbstractCode, CalcJobNode, Dict

from aiida_prospect.calculations.training import TrainCalculation
from aiida_prospect.common.enums import JobLoss
from aiida_prospect.workflows.losses import EscalatingWorkChain, loss_of
from aiida_prospect.workflows.protocols import load_protocol

SILENT = {
    getattr(TrainCalculation.exit_codes, name).status: JobLoss.SILENT
    for name in ('ERROR_INTERRUPTED', 'ERROR_OUTPUT_UNREADABLE')
}


class TrainBaseWorkChain(EscalatingWorkChain):
    """Train one force field; a subclass names its calculation and its protocol, and adds handlers of its own."""

    _process_class: ClassVar[type[TrainCalculation]]
    _protocol: ClassVar[str]

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define the process."""
        super().define(spec)
        spec.expose_inputs(cls._process_class, exclude=('metadata',))
        spec.input('options', valid_type=Dict, required=False, help='`metadata.options` of the job.')
        spec.expose_outputs(cls._process_class, exclude=('remote_folder', 'retrieved'))
        spec.outline(
            cls.setup,
            while_(cls.should_run_process)(cls.run_process, cls.inspect_process),
            cls.results,
        )
        spec.exit_code(201, 'ERROR_INVALID_DATA', message='The data or parameters do not fit: {message}')
        spec.exit_code(411, 'ERROR_TRAINING_FAILED', message='The training cannot be saved: {message}')

    @classmethod
    def get_builder_from_protocol(
        cls,
        code: AbstractCode,
        training: Mapping[str, Any] | None = None,
        *,
        protocol: str | None = None,
        overrides: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> ProcessBuilder:
        """Return a builder.

        :param code: Python interpreter with what trains this force field.
        :param training: sets of labelled frames.
        :param protocol: ``fast``, ``balanced`` or ``stringent``.
        :param overrides: laid over the values of the protocol.
        :param options: ``metadata.options`` of the job, laid over those of the protocol.
        :raises ProtocolError: if the protocol is unknown or an override is misspelt.
        """
        builder = cls.get_builder()
        builder.code = code
        if training:
            builder.training = dict(training)
        values = load_protocol(cls._protocol, protocol, overrides)
        builder.options = Dict({**values.pop('options'), **(options or {})})
        builder.escalation = Dict(values.pop('escalation'))
        builder.parameters = Dict(values)
        return builder

    def setup(self) -> None:
        """Prepare the inputs of the first job."""
        super().setup()
        self.ctx.inputs = AttributeDict(self.exposed_inputs(self._process_class))
        if 'options' in self.inputs:
            self.ctx.inputs.metadata = {'options': self.inputs.options.get_dict()}

    @process_handler(priority=600)
    def handle_loss(self, node: CalcJobNode) -> ProcessHandlerReport | None:
        """Continue from the last checkpoint, or begin again where there are none, with more of what was lacking."""
        loss = loss_of(node, SILENT)
        if loss is None:
            return None
        demand = self.escalate(node, loss)
        has_checkpoints = 'parent_folder' in self._process_class.spec().inputs
        if not demand.granted and not (has_checkpoints and loss is JobLoss.WALL_TIME):
            return self._give_up(node, demand.sentence)
        if has_checkpoints:
            self.ctx.inputs.parent_folder = node.outputs.remote_folder
        return self.restart(node, f'{demand.sentence}; {"continuing" if has_checkpoints else "beginning again"}')

    @process_handler(
        priority=300,
        exit_codes=[
            TrainCalculation.exit_codes.ERROR_INVALID_DATA,
            TrainCalculation.exit_codes.ERROR_BACKEND_NOT_FOUND,
        ],
    )
    def handle_invalid_data(self, node: CalcJobNode) -> ProcessHandlerReport:
        """End: another try would fail in the same way."""
        return ProcessHandlerReport(True, self.exit_codes.ERROR_INVALID_DATA.format(message=node.exit_message))

    @process_handler(priority=0)
    def handle_other_failure(self, node: CalcJobNode) -> ProcessHandlerReport | None:
        """End with the message of the job."""
        if node.is_finished_ok:
            return None
        return self._give_up(node, str(node.exit_message))

    def _give_up(self, node: CalcJobNode, why: str) -> ProcessHandlerReport:
        message = f'{node.process_label}<{node.pk}> ended with {node.exit_status}: {why}'
        return ProcessHandlerReport(True, self.exit_codes.ERROR_TRAINING_FAILED.format(message=message))

    def restart(self, node: CalcJobNode, action: str) -> ProcessHandlerReport:
        """Report why the job is run again, and how."""
        self.report(f'{node.process_label}<{node.pk}>: {node.exit_message}: {action}')
        return ProcessHandlerReport(True, ExitCode(0))
