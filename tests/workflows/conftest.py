"""Jobs that ended as only a scheduler can end them."""

import pytest
from aiida.common import LinkType
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.orm import CalcJobNode, RemoteData


@pytest.fixture
def ended(aiida_localhost, tmp_path):
    """Return a factory of jobs that have ended so, with a folder."""

    def factory(exit_code, entry_point='prospect.deepmd_train', folder=tmp_path, computer=aiida_localhost, caller=None):
        node = CalcJobNode(computer=computer, process_type=f'aiida.calculations:{entry_point}')
        node.set_exit_status(exit_code.status)
        node.set_exit_message(exit_code.message)
        node.set_process_state('finished')
        node.set_option('resources', {'num_machines': 1})
        if caller is not None:
            node.base.links.add_incoming(caller, LinkType.CALL_CALC, 'job')
        node.store()
        remote = RemoteData(remote_path=str(folder), computer=computer)
        remote.base.links.add_incoming(node, LinkType.CREATE, 'remote_folder')
        remote.store()
        return node

    return factory


@pytest.fixture
def set_up(aiida_profile):
    """Return a function that makes a restarting work chain as it is after a first job."""

    def factory(builder):
        process = instantiate_process(get_manager().get_runner(), builder)
        process.setup()
        process.ctx.iteration = 1
        return process

    return factory


@pytest.fixture
def inspect():
    """Return a function that lets a restarting work chain act on how its last job ended."""

    def act(process, node):
        process.ctx.children = [node]
        return process.inspect_process()

    return act
