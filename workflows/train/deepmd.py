"""Training of one network of DeePMD-kit that copes with what goes wrong."""

from __future__ import annotations

from aiida.engine import ProcessHandlerReport, ProcessSpec, process_handler
from aiida.orm import Bool, CalcJobNode, Dict, Int
from aiida.plugins import CalculationFactory

from aiida_prospect.methods.deepmd_input import gentler, with_larger_batches
from aiida_prospect.workflows.train.base import TrainBaseWorkChain

DeepmdTrainCalculation = CalculationFactory('prospect.deepmd_train')

RATE_FACTOR = 0.3
BATCH_FACTOR = 2
SEED_STEP = 100003
MAX_LARGER_BATCHES = 2


class DeepmdTrainWorkChain(TrainBaseWorkChain):
    """Train one force field with DeePMD-kit."""

    _process_class = DeepmdTrainCalculation
    _protocol = 'train_deepmd'

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define the process."""
        super().define(spec)
        spec.input(
            'keep_initial',
            valid_type=Bool,
            default=lambda: Bool(False),
            help='Whether all trainings begin with `initial`, also where one is repeated because it learns too slowly.',
        )
        spec.exit_code(
            501,
            'ERROR_LOSS_NOT_FALLING',
            message='The loss falls too slowly, also with batches {factor} times larger.',
        )

    def setup(self) -> None:
        """Prepare the inputs of the first job."""
        super().setup()
        self.ctx.larger_batches = 0

    @process_handler(priority=500, exit_codes=[DeepmdTrainCalculation.exit_codes.ERROR_TRAINING_NAN])
    def handle_nan(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Begin again with a lower learning rate and another seed."""
        self.ctx.inputs.parameters = Dict(gentler(self.ctx.inputs.parameters.get_dict(), RATE_FACTOR))
        self._another_seed()
        return self.restart(node, f'beginning again with {RATE_FACTOR} of the learning rate and another seed')

    @process_handler(priority=400, exit_codes=[DeepmdTrainCalculation.exit_codes.ERROR_LOSS_NOT_FALLING])
    def handle_loss_not_falling(self, node: CalcJobNode) -> ProcessHandlerReport:
        """Begin again with larger batches, as Marcolongo et al. (2019) do; after some times give up.

        What an earlier training of ours left behind is dropped, unless it is to be kept; a model that was trained
        elsewhere stays the start.
        """
        if self.ctx.larger_batches >= MAX_LARGER_BATCHES:
            self.ctx.is_finished = True
            self.results()
            factor = BATCH_FACTOR**self.ctx.larger_batches
            return ProcessHandlerReport(True, self.exit_codes.ERROR_LOSS_NOT_FALLING.format(factor=factor))
        self.ctx.larger_batches += 1
        self.ctx.inputs.parameters = Dict(with_larger_batches(self.ctx.inputs.parameters.get_dict(), BATCH_FACTOR))
        initial = self.ctx.inputs.get('initial')
        if initial is not None and initial.creator is not None and not self.inputs.keep_initial:
            self.ctx.inputs.pop('initial')
        self._another_seed()
        start = 'the pretrained potential' if 'initial' in self.ctx.inputs else 'scratch'
        return self.restart(node, f'beginning again from {start} with batches {BATCH_FACTOR} times larger')

    def _another_seed(self) -> None:
        self.ctx.inputs.seed = Int(self.ctx.inputs.seed.value + SEED_STEP)
        self.ctx.inputs.pop('parent_folder', None)
