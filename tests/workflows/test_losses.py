"""Tests of what is made of jobs that did not end by themselves."""

import io

import pytest
from aiida.common.links import LinkType
from aiida.engine import CalcJob, ExitCode
from aiida.orm import Computer, FolderData

from aiida_prospect.common.enums import JobLoss
from aiida_prospect.workflows.losses import loss_of

INCOMPLETE = ExitCode(700, 'the parser finds the output incomplete')
OTHERS = {INCOMPLETE.status: JobLoss.SILENT}


@pytest.fixture
def with_slurm(tmp_path):
    """Return a computer that has SLURM."""
    return Computer(
        label=f'slurm-{tmp_path.name}',
        hostname='localhost',
        transport_type='core.local',
        scheduler_type='core.slurm',
        workdir=str(tmp_path),
    ).store()


@pytest.fixture
def judge(ended, with_slurm):
    """Return a function that says why a job was lost, from its exit code and the accounting of SLURM."""

    def loss(exit_code, state):
        job = ended(exit_code, computer=with_slurm)
        job.set_detailed_job_info({'retval': 0, 'stderr': '', 'stdout': f'JobID|State\n123|{state}\n'})
        return loss_of(job, OTHERS)

    return loss


@pytest.fixture
def judge_by_stream(ended, with_slurm):
    """Return a function that says why a job was lost, from its error stream: the accounts were away, or say nothing."""

    def loss(stream, accounts):
        job = ended(INCOMPLETE, computer=with_slurm, scheduler_stderr='scheduler.err')
        job.set_detailed_job_info(accounts)
        retrieved = FolderData()
        retrieved.base.repository.put_object_from_filelike(io.BytesIO(stream.encode()), 'scheduler.err')
        retrieved.base.links.add_incoming(job, LinkType.CREATE, 'retrieved')
        retrieved.store()
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


CANCELLED = '*** JOB 7 ON n1 CANCELLED AT 2026-11-23T03:08:28'


# As a SLURM 22.05 without control groups ends jobs, and as texts that its programs hold.
@pytest.mark.parametrize(
    ('line', 'expected'),
    [
        (f'slurmstepd-n1: error: {CANCELLED} DUE TO TIME LIMIT ***', JobLoss.WALL_TIME),
        ('slurmstepd-n1: error: StepId=2.batch exceeded memory limit (64 > 10), being killed', JobLoss.MEMORY),
        ('slurmstepd: error: Detected 1 oom-kill event(s) in StepId=7.batch. Some of your processes', JobLoss.MEMORY),
        (f'slurmstepd: error: {CANCELLED} DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***', JobLoss.NODE),
        (f'slurmstepd: error: {CANCELLED} ***', JobLoss.SILENT),
        ('ours: error: exceeded memory limit', JobLoss.SILENT),
    ],
    ids=['wall time', 'memory', 'memory of a control group', 'node', 'cancelled', 'another program'],
)
@pytest.mark.parametrize(
    'accounts',
    [
        {'retval': 1, 'stderr': 'sacct: error: Connection refused', 'stdout': ''},
        {'retval': 0, 'stderr': '', 'stdout': ''},
        {'retval': 0, 'stderr': '', 'stdout': 'JobID|State\n123|FAILED\n'},
    ],
    ids=['away', 'empty', 'failed'],
)
def test_the_error_stream_tells_what_the_accounts_do_not(judge_by_stream, line, expected, accounts):
    assert judge_by_stream(f'a line of the shell\n{line}\n', accounts) is expected
