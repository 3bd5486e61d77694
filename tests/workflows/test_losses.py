"""Tests of what is made of jobs that did not end by themselves."""

import pytest
from aiida.engine import CalcJob, ExitCode
from aiida.orm import Computer

from aiida_prospect.common.enums import JobLoss
from aiida_prospect.workflows.losses import loss_of

INCOMPLETE = ExitCode(700, 'the parser finds the output incomplete')
OTHERS = {INCOMPLETE.status: JobLoss.SILENT}


@pytest.fixture
def judge(ended, tmp_path):
    """Return a function that says why a job was lost, from its exit code and the accounting of SLURM."""
    computer = Computer(
        label=f'slurm-{tmp_path.name}',
        hostname='localhost',
        transport_type='core.local',
        scheduler_type='core.slurm',
        workdir=str(tmp_path),
    ).store()

    def loss(exit_code, state):
        job = ended(exit_code, computer=computer)
        job.set_detailed_job_info({'retval': 0, 'stderr': '', 'stdout': f'JobID|State\n123|{state}\n'})
        return loss_of(job, OTHERS)

    return loss


@pytest.mark.parametrize(
    ('state', 'expected'),
    [
        ('TIMEOUT', JobLoss.WALL_TIME),
        ('OUT_OF_MEMORY', JobLoss.MEMORY),
        ('NODE_FAIL', JobLoss.NODE),
        ('CANCELLED', JobLoss.SILENT),
    ],
)
def test_the_verdict_of_the_scheduler_counts_although_the_parser_replaced_it(judge, state, expected):
    assert judge(INCOMPLETE, state) is expected


def test_a_job_that_ended_well_or_of_which_nothing_is_known_is_not_lost(judge, ended):
    assert judge(ExitCode(0), 'TIMEOUT') is None
    assert judge(ExitCode(500, 'the program gave up'), 'COMPLETED') is None
    assert loss_of(ended(CalcJob.exit_codes.ERROR_SCHEDULER_NODE_FAILURE), OTHERS) is JobLoss.NODE
    assert loss_of(ended(INCOMPLETE), OTHERS) is JobLoss.SILENT
