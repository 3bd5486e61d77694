"""Training of one force field that copes with what goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida.common import AttributeDict
from aiida.engine import (
    BaseRestartWorkChain,
    ExitCode,
    ProcessBuilder,
    ProcessHandlerReport,
    ProcessSpec,
    process_handler,
    while_,
)
from aiida.orm import AbstractCode, CalcJobNode, Dict, Int
from aiida.plugins import CalculationFactory

from aiida_prospect.methods.deepmd_input import gentler, with_larger_batches
from aiida_prospect.workflows.protocols import load_protocol

DeepmdTrainCalculation = CalculationFactory('prospect.deepmd_train')

RATE_FACTOR = 0.3
BATCH_FACTOR = 2
SEED_STEP = 100003
MAX_LARGER_BATCHES = 2


class DeepmdTrainWorkChain(BaseRestartWorkChain):
    """Train one force field with DeePMD-kit."""

    _process_class = DeepmdTrainCalculation

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define the process."""
        super().define(spec)
        spec.expose_inputs(DeepmdTrainCalculation, exclude=('metadata',))
        spec.input('options', valid_type=Dict, required=False, help='`metadata.options` of the job.')
        spec.expose_outputs(DeepmdTrainCalculation, exclude=('remote_folder', 'retrieved'))
        spec.outline(
            cls.setup,
            while_(cls.should_run_process)(cls.run_process, cls.inspect_process),
            cls.results,
        )
        spec.exit_code(201, 'ERROR_INVALID_DATA', message='The data or parameters do not fit: {message}')
        spec.exit_code(411, 'ERROR_TRAINING_FAILED', message='The training cannot be saved: {message}')
        spec.exit_code(
            501,
            'ERROR_LOSS_NOT_FALLING',
            message='The loss falls too slowly, also with batches {factor} times larger.',
        )

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

        :param code: Python interpreter with DeePMD-kit.
        :param training: sets of labelled frames.
        :param protocol: ``fast``, ``balanced`` or ``stringent``.
        :param overrides: laid over the values of the protocol.
        :param options: ``metadata.options`` of the job.
        """
        builder = cls.get_builder()
        builder.code = code
        if training:
            builder.training = dict(training)
        builder.parameters = Dict(load_protocol('train_deepmd', protocol, overrides))
        if options:
            builder.options = Dict(dict(options))
        return builder

    def setup(self) -> None:
        """Prepare the inputs of the first job."""
        super().setup()
        self.ctx.inputs = AttributeDict(self.exposed_inputs(DeepmdTrainCalculation))
        if 'options' in self.inputs:
            self.ctx.inputs.metadata = {'options': self.inputs.options.get_dict()}
        self.ctx.larger_batches = 0

    @process_handler(
        priority=600,
        exit_codes=[
            DeepmdTrainCalculation.exit_codes.ERROR_SCHEDULER_OUT_OF_WALLTIME,
            DeepmdTrainCalculation.exit_codes.ERROR_SCHEDULER_NODE_FAILURE,
            DeepmdTrainCalculation.exit_codes.ERROR_INTERRUPTED,
        ],
    )
    def handle_interruption(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Continue from the last checkpoint."""
        self.ctx.inputs.parent_folder = node.outputs.remote_folder
        return self._restart(node, 'continuing from its last checkpoint')

    @process_handler(priority=500, exit_codes=[DeepmdTrainCalculation.exit_codes.ERROR_TRAINING_NAN])
    def handle_nan(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Begin again with a lower learning rate and another seed."""
        self.ctx.inputs.parameters = Dict(gentler(self.ctx.inputs.parameters.get_dict(), RATE_FACTOR))
        self._another_seed()
        return self._restart(node, f'beginning again with {RATE_FACTOR} of the learning rate and another seed')

    @process_handler(priority=400, exit_codes=[DeepmdTrainCalculation.exit_codes.ERROR_LOSS_NOT_FALLING])
    def handle_loss_not_falling(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Begin again from scratch with larger batches, as Marcolongo et al. (2019) do; after some times give up."""
        if self.ctx.larger_batches >= MAX_LARGER_BATCHES:
            self.ctx.is_finished = True
            self.results()
            factor = BATCH_FACTOR**self.ctx.larger_batches
            return ProcessHandlerReport(True, self.exit_codes.ERROR_LOSS_NOT_FALLING.format(factor=factor))
        self.ctx.larger_batches += 1
        self.ctx.inputs.parameters = Dict(with_larger_batches(self.ctx.inputs.parameters.get_dict(), BATCH_FACTOR))
        self.ctx.inputs.pop('initial', None)
        self._another_seed()
        return self._restart(node, f'beginning again from scratch with batches {BATCH_FACTOR} times larger')

    @process_handler(
        priority=300,
        exit_codes=[
            DeepmdTrainCalculation.exit_codes.ERROR_INVALID_DATA,
            DeepmdTrainCalculation.exit_codes.ERROR_BACKEND_NOT_FOUND,
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
        message = f'{node.process_label}<{node.pk}> ended with {node.exit_status}: {node.exit_message}'
        return ProcessHandlerReport(True, self.exit_codes.ERROR_TRAINING_FAILED.format(message=message))

    def _another_seed(self) -> None:
        self.ctx.inputs.seed = Int(self.ctx.inputs.seed.value + SEED_STEP)
        self.ctx.inputs.pop('parent_folder', None)

    def _restart(self, node: CalcJobNode, action: str) -> ProcessHandlerReport:
        self.report(f'{node.process_label}<{node.pk}>: {node.exit_message}: {action}')
        return ProcessHandlerReport(True, ExitCode(0))
