"""Relaxation of many frames, continued until it is done."""

from __future__ import annotations

from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import BaseRestartWorkChain, ExitCode, ProcessHandlerReport, ProcessSpec, process_handler, while_
from aiida.plugins import CalculationFactory

RelaxCalculation = CalculationFactory('prospect.relax')

OUT_OF_MEMORY = 110
OUT_OF_WALLTIME = 120
NODE_FAILURE = 140


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
        spec.output_namespace('statistics_all', valid_type=orm.Dict, dynamic=True, help='Of each job, in their order.')
        spec.inputs['max_iterations'].default = lambda: orm.Int(10)
        spec.outline(cls.setup, while_(cls.should_run_process)(cls.run_process, cls.inspect_process), cls.results)
        spec.exit_code(403, 'ERROR_NO_PROGRESS', message='Twice in succession a job ended without a new checkpoint.')

    def setup(self) -> None:
        """Take the inputs of the first job."""
        super().setup()
        self.ctx.inputs = AttributeDict(self.exposed_inputs(RelaxCalculation, 'relax'))
        self.ctx.without_checkpoint = 0

    def inspect_process(self) -> ExitCode | None:
        """Act on how the job ended; before giving up, attach what there is."""
        node = self.ctx.children[self.ctx.iteration - 1]
        if 'statistics' in node.outputs:
            self.out(f'statistics_all.job_{self.ctx.iteration:02d}', node.outputs.statistics)
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
            return ProcessHandlerReport(True, self.exit_codes.ERROR_NO_PROGRESS)
        self.report(f'RelaxCalculation<{node.pk}>: {what_happened}; it continues from the last checkpoint')
        return ProcessHandlerReport(True)

    @process_handler(priority=500, exit_codes=[RelaxCalculation.exit_codes.ERROR_UNFINISHED])
    def handle_stopped(self, node: orm.CalcJobNode) -> ProcessHandlerReport:
        """Continue a job that stopped by itself before its time was up."""
        return self._continue(node, str(node.exit_message))

    @process_handler(priority=400)
    def handle_scheduler(self, node: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Continue a job that the scheduler or the machine ended; where memory lacked, with smaller batches."""
        if node.exit_status == OUT_OF_MEMORY:
            parameters = self.ctx.inputs.parameters.get_dict()
            parameters['batch_atoms'] = max(1, parameters.get('batch_atoms', 1024) // 2)
            self.ctx.inputs.parameters = orm.Dict(parameters)
            return self._continue(node, f'not enough memory; batches of {parameters["batch_atoms"]} atoms from now on')
        if node.exit_status == OUT_OF_WALLTIME:
            return self._continue(node, 'out of wall time')
        lost = (NODE_FAILURE, RelaxCalculation.exit_codes.ERROR_NO_RESULT.status)
        if node.exit_status in lost:
            return self._continue(node, str(node.exit_message))
        return None
