"""Jobs that the scheduler or the machine has ended, and what work chains do about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm
from aiida.engine import BaseRestartWorkChain, CalcJob, ProcessSpec

from aiida_prospect.calculations.streams import verdict_of_scheduler
from aiida_prospect.common.enums import JobLoss
from aiida_prospect.methods.escalation import Demand, Escalation, next_demand
from aiida_prospect.workflows.delivery import PatientProcess

CODES = CalcJob.exit_codes
LOSSES = {
    CODES.ERROR_SCHEDULER_OUT_OF_MEMORY.status: JobLoss.MEMORY,
    CODES.ERROR_SCHEDULER_OUT_OF_WALLTIME.status: JobLoss.WALL_TIME,
    CODES.ERROR_SCHEDULER_NODE_FAILURE.status: JobLoss.NODE,
}


def loss_of(node: orm.ProcessNode, others: Mapping[int, JobLoss] | None = None) -> JobLoss | None:
    """Return why a job was lost; ``None`` if it was not.

    :param others: what exit statuses of the job itself mean.
    """
    if node.exit_status and isinstance(node, orm.CalcJobNode) and node.exit_status not in LOSSES:
        # The exit status of the parser has replaced it: of a job that was killed that its output is incomplete.
        verdict = verdict_of_scheduler(node, node.get_retrieved_node())
        if verdict is not None and verdict.status in LOSSES:
            return LOSSES[verdict.status]
    return {**LOSSES, **(others or {})}.get(node.exit_status)


def how_it_ended(node: orm.ProcessNode) -> str:
    """Return exit status and message of a process, or the last line of the exception that it died of."""
    if node.exit_status is not None:
        return f'{node.exit_status}: {node.exit_message}'
    return ': '.join([node.process_state.value, *(node.exception or '').strip().splitlines()[-1:]])


def demand_after(
    computer: orm.Computer, options: Mapping[str, Any], loss: JobLoss, escalation: orm.Dict, losses: int
) -> Demand:
    """Return what the next job on a computer is to be given.

    :param options: that were asked for; what memory a job gets without being asked, its computer knows.
    :param escalation: fields of :class:`Escalation`.
    :param losses: how many jobs of the same purpose the machine has lost before this one.
    """
    memory = computer.get_default_memory_per_machine()
    known = {} if memory is None else {'max_memory_kb': memory}
    return next_demand({**known, **options}, loss, Escalation.from_mapping(escalation.get_dict()), losses)


def validate_escalation(escalation: orm.Dict, _: Any) -> str | None:
    """Refuse unknown keys and impossible values."""
    try:
        Escalation.from_mapping(escalation.get_dict())
    except (TypeError, ValueError) as exception:
        return str(exception)
    return None


def define_escalation(spec: ProcessSpec) -> None:
    """Define the input ``escalation`` of a work chain."""
    spec.input(
        'escalation',
        valid_type=orm.Dict,
        default=lambda: orm.Dict({}),
        validator=validate_escalation,
        serializer=orm.to_aiida_type,
        help='Fields of `Escalation`: how far the demands of jobs that were killed may grow.',
    )


class EscalatingWorkChain(PatientProcess, BaseRestartWorkChain):
    """Gives a job that was lost more of what it lacked; a subclass has the handlers, which know how to go on."""

    @classmethod
    def define(cls, spec: ProcessSpec) -> None:
        """Define what is allowed."""
        super().define(spec)
        define_escalation(spec)

    def setup(self) -> None:
        """Begin to count."""
        super().setup()
        self.ctx.losses = 0

    def escalate(self, job: orm.CalcJobNode, loss: JobLoss) -> Demand:
        """Set the options of the next job, and return what there is to say of it."""
        metadata = self.ctx.inputs.setdefault('metadata', {})
        demand = demand_after(job.computer, metadata.get('options', {}), loss, self.inputs.escalation, self.ctx.losses)
        metadata['options'] = demand.options
        if loss in (JobLoss.NODE, JobLoss.SILENT):
            self.ctx.losses += 1
        return demand
