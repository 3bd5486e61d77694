"""Trainings that have ended, without having run."""

import io
import json

import pytest
from aiida.common import LinkType
from aiida.orm import CalcJobNode, Dict, FolderData, WorkChainNode
from aiida.schedulers import JobInfo

from aiida_prospect.calculations.runners.stages import RESULTS_FILE

RESULTS = {'errors': {'training': {'energy': 0.1}}, 'n_training': 4, 'n_validation': 0}


@pytest.fixture
def make_job(aiida_localhost):
    """Return a factory of jobs of a work chain, which tell in one way or another how many seconds they took."""

    def factory(caller, *, results=None, file=None, scheduler=None, processes=1):
        job = CalcJobNode(computer=aiida_localhost, process_type='aiida.calculations:prospect.deepmd_train')
        job.set_option('resources', {'num_machines': 1, 'num_mpiprocs_per_machine': processes})
        job.base.links.add_incoming(caller, LinkType.CALL_CALC, f'iteration_{len(caller.called):02d}')
        job.store()
        if scheduler is not None:
            job.set_last_job_info(JobInfo({'job_id': '1', 'wallclock_time_seconds': scheduler}))
        if file is not None:
            retrieved = FolderData()
            retrieved.base.repository.put_object_from_filelike(io.BytesIO(file.encode()), RESULTS_FILE)
            retrieved.base.links.add_incoming(job, LinkType.CREATE, 'retrieved')
            retrieved.store()
        if results is not None:
            node = Dict(results)
            node.base.links.add_incoming(job, LinkType.CREATE, 'results')
            node.store()
        return job

    return factory


@pytest.fixture
def make_training(make_job):
    """Return a factory of trainings of members, with a job for each number of seconds.

    All but the last of them failed; so did that, unless the training is a good one.
    """

    def factory(*seconds, good=True, processes=1):
        training = WorkChainNode()
        training.set_process_label('DeepmdTrainWorkChain')
        training.set_process_state('finished')
        training.set_exit_status(0 if good else 411)
        training.store()
        for number, taken in enumerate(seconds, start=1):
            if good and number == len(seconds):
                job = make_job(training, results={**RESULTS, 'total_seconds': taken}, processes=processes)
                job.outputs.results.base.links.add_incoming(training, LinkType.RETURN, 'results')
            else:
                make_job(training, file=json.dumps({'failure': {}, 'total_seconds': taken}), processes=processes)
        return training

    return factory
