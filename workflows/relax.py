"""Relaxation of many frames, continued until it is done."""

from __future__ import annotations

from aiida import orm
from aiida.common import AttributeDict
from aiida.engine import ExitCode, ProcessHandlerReport, ProcessSpec, process_handler, while_
from aiida.plugins import CalculationFactory

from aiida_prospect.calculations.relax import sliced
from aiida_prospect.common.enums import JobLoss
from aiida_prospect.methods.relaxation.settings import RelaxSettings
from aiida_prospect.workflows.losses import EscalatingWorkChain, loss_of

RelaxCalculation = CalculationFactory('prospect.relax')

INTERRUPTED = tuple(
    getattr(RelaxCalculation.exit_codes, name).status
    for name in ('ERROR_NO_RESULT', 'ERROR_INVALID_RESULT', 'ERROR_UNFINISHED')
)


class RelaxWorkChain(EscalatingWorkChain):
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

    def _continue(self, node: orm.CalcJobNode, what_happened: str, fares_better: bool = False) -> ProcessHandlerReport:
        """Start again from the checkpoint, if the job has written one; statistics are written together with it.

        :param fares_better: whether the next job has what this one lacked.
        """
        if 'statistics' in node.outputs:
            self.ctx.inputs.parent_folder = node.outputs.remote_folder
            self.ctx.without_checkpoint = 0
        elif not fares_better:
            self.ctx.without_checkpoint += 1
        if self.ctx.without_checkpoint > 1:
            return ProcessHandlerReport(True, self.exit_codes.ERROR_NO_PROGRESS.format(cause=what_happened))
        self.report(f'RelaxCalculation<{node.pk}>: {what_happened}; it continues from the last checkpoint')
        return ProcessHandlerReport(True)

    @process_handler(priority=500)
    def handle_loss(self, node: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Continue with more wall time or memory, with smaller batches if there was too little of the latter."""
        loss = loss_of(node)
        if loss is None:
            return None
        demand = self.escalate(node, loss)
        if loss is JobLoss.NODE and not demand.granted:
            return ProcessHandlerReport(True, self.exit_codes.ERROR_RELAXATION_FAILED.format(cause=demand.sentence))
        smaller = self._halve_batches() if loss is JobLoss.MEMORY else ''
        return self._continue(node, f'{demand.sentence}{smaller}', demand.granted or bool(smaller))

    def _halve_batches(self) -> str:
        """Let half as many structures advance together, and say so; not a word if the largest does alone already."""
        parameters, frames = self.ctx.inputs.parameters.get_dict(), self.ctx.inputs.frames.frames
        n_atoms = frames.n_atoms[sliced(len(frames), parameters)]
        largest, batch = int(n_atoms.max()), parameters.get('batch_atoms', RelaxSettings.batch_atoms)
        if batch <= largest or n_atoms.sum() <= largest:
            return ''
        parameters['batch_atoms'] = max(largest, int(min(batch, n_atoms.sum())) // 2)
        self.ctx.inputs.parameters = orm.Dict(parameters)
        return f', batches of {parameters["batch_atoms"]} atoms from now on'

    @process_handler(priority=400)
    def handle_interrupted(self, node: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Continue a job that stopped before its time was up, was ended without a word, or left a broken file."""
        if node.exit_status not in INTERRUPTED:
            return None
        return self._continue(node, str(node.exit_message))

    @process_handler(priority=0)
    def handle_unrecoverable(self, node: orm.CalcJobNode) -> ProcessHandlerReport | None:
        """Give up, in the words of the job."""
        if node.is_finished_ok or loss_of(node) is not None or node.exit_status in INTERRUPTED:
            return None
        return ProcessHandlerReport(True, self.exit_codes.ERROR_RELAXATION_FAILED.format(cause=node.exit_message))
