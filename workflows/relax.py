"""Relaxation of many frames, continued until it is done."""

from __future__ import annotations

from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import BaseRestartWorkChain, ExitCode, ProcessHandlerReport, ProcessSpec, process_handler, while_
from aiida.plugins import CalculationFactory

from aiida_prospect.methods.relaxation.settings import RelaxSettings

RelaxCalculation = CalculationFactory('prospect.relax')

OUT_OF_MEMORY = RelaxCalculation.exit_codes.ERROR_SCHEDULER_OUT_OF_MEMORY.status
INTERRUPTED = tuple(
    getattr(RelaxCalculation.exit_codes, name).status
    for name in (
        'ERROR_SCHEDULER_OUT_OF_WALLTIME',
        'ERROR_SCHEDULER_NODE_FAILURE',
        'ERROR_NO_RESULT',
        'ERROR_UNFINISHED',
    )
)


class RelaxWorkChain(BaseRestartWorkChain):
    """Run a :class:`~aiida_prospect.calculations.relax.RelaxCalculation` and continue it whenever it stops.

    What has been relaxed is attached also when it ends with an error; frames that were not reached say so.
    """

    _process_class = RelaxCalculation

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define the process."""
        super().define(spec)
        spec.expose_inputs(RelaxCalculation, namespace='relax')
        spec.expose_outputs(RelaxCalculation)
        spec.inputs['max_iterations'].default = lambda: orm.Int(10)
        spec.outline(cls.setup, while_(cls.should_run_process)(cls.run_process, cls.inspect_process), cls.results)
        spec.exit_code(
            403, 'ERROR_NO_PROGRESS', message='Twice in succession a job ended without a new checkpoint: {cause}'
        )
        spec.exit_code(404, 'ERROR_RELAXATION_FAILED', message='{cause}')

    def setup(self) -> None:
        """Take the inputs of the first job."""
        super().setup()
        self.ctx.inputs = AttributeDict(self.exposed_inputs(RelaxCalculation, 'relax'))
        self.ctx.without_checkpoint = 0

    def inspect_process(self) -> ExitCode | None:
        """Act on how the job ended; before giving up, attach what there is."""
        exit_code = super().inspect_process()
        if exit_code is not None and exit_code.status:
            self._attach_partial()
        return exit_code

    def _attach_partial(self) -> None:
        for node in reversed(self.ctx.children):
            if 'relaxed' in node.outputs:
                self.out_many(self.exposed_outputs(node, RelaxCalculation))
                return

    def _continue(self, node: orm.CalcJobNode, what_happened: str) -> ProcessHandlerReport:
        """Start again from the checkpoint, if the job has written one; statistics are written together with it."""
        if 'statistics' in node.outputs:
            self.ctx.inputs.parent_folder = node.outputs.remote_folder
            self.ctx.without_checkpoint = 0
        else:
            self.ctx.without_checkpoint += 1
        if self.ctx.without_checkpoint > 1:
            return ProcessHandlerReport(True, self.exit_codes.ERROR_NO_PROGRESS.format(cause=what_happened))
        self.report(f'RelaxCalculation<{node.pk}>: {what_happened}; it continues from the last checkpoint')
        return ProcessHandlerReport(True)

    @process_handler(priority=500)
    def handle_out_of_memory(self, node: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Continue with batches of half the size."""
        if node.exit_status != OUT_OF_MEMORY:
            return None
        parameters = self.ctx.inputs.parameters.get_dict()
        parameters['batch_atoms'] = max(1, parameters.get('batch_atoms', RelaxSettings.batch_atoms) // 2)
        self.ctx.inputs.parameters = orm.Dict(parameters)
        return self._continue(node, f'not enough memory, batches of {parameters["batch_atoms"]} atoms from now on')

    @process_handler(priority=400)
    def handle_interrupted(self, node: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Continue a job that stopped by itself before its time was up, or that the scheduler or the machine ended."""
        if node.exit_status not in INTERRUPTED:
            return None
        return self._continue(node, str(node.exit_message))

    @process_handler(priority=0)
    def handle_unrecoverable(self, node: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Give up, in the words of the job."""
        if node.is_finished_ok or node.exit_status in (OUT_OF_MEMORY, *INTERRUPTED):
            return None
        return ProcessHandlerReport(True, self.exit_codes.ERROR_RELAXATION_FAILED.format(cause=node.exit_message))
