"""A small search that has run, and jobs that ended as only a scheduler can end them."""

import pytest
from aiida.common import LinkType
from aiida.engine import run_get_node
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.manage.caching import enable_caching
from aiida.orm import CalcJobNode, Dict, RemoteData, StructureData, load_node
from ase.build import bulk

from aiida_prospect.workflows.protocols import merge
from aiida_prospect.workflows.search import SearchWorkChain

# As small as it can be: the search must run through, not find anything.
SMALL = {
    'search': {'budget': {'max_cycles': 2}, 'final': {'n_minima': 1}},
    'pool': {'n_structures': 12},
    'selection': {'selection': {'n_initial': 6, 'n_select': 3}},
    'explore': {'parameters': {'max_steps': 15}},
}
PKS: dict[str, int] = {}


@pytest.fixture
def ended(aiida_localhost, tmp_path):
    """Return a factory of jobs that have ended so, with a folder and options."""

    def factory(
        exit_code,
        entry_point='prospect.deepmd_train',
        folder=tmp_path,
        computer=aiida_localhost,
        caller=None,
        **options,
    ):
        node = CalcJobNode(computer=computer, process_type=f'aiida.calculations:{entry_point}')
        node.set_exit_status(exit_code.status)
        node.set_exit_message(exit_code.message)
        node.set_process_state('finished')
        node.set_options({'resources': {'num_machines': 1}, **options})
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


@pytest.fixture
def make_builder(python_code):
    """Return a factory of builders of a small search."""

    def factory(**changes):
        label = {'code': python_code, 'calculator': 'lammps', 'arguments': {'potential': 'Si_Zuo_JPCA2020'}}
        inputs = {
            'composition': {'Si': 4},
            'code': python_code,
            'label_options': label,
            'protocol': 'fast',
            'overrides': SMALL,
            'references': {'diamond': StructureData(ase=bulk('Si', 'diamond', a=5.43))},
        }
        return SearchWorkChain.get_builder_from_protocol(**{**inputs, **changes})

    return factory


@pytest.fixture
def search(make_builder):
    """Return a search that has run, the same for all tests."""
    if 'search' not in PKS:
        PKS['search'] = run_get_node(make_builder())[1].pk
    return load_node(PKS['search'])


@pytest.fixture
def failed_search(make_builder):
    """Return a search that ended after its first labels, because its pool had fewer crystals than it needs labels."""
    if 'failed' not in PKS:
        builder = make_builder(overrides=merge(SMALL, {'pool': {'n_structures': 6}}))
        parameters = {'min_usable': 7, 'selection': {'n_initial': 7}}
        builder.parameters = Dict(merge(builder.parameters.get_dict(), parameters))
        PKS['failed'] = run_get_node(builder)[1].pk
    return load_node(PKS['failed'])


@pytest.fixture
def restarted_search(make_builder, search):
    """Return a search that took up the other one after its first cycle."""
    if 'restarted' not in PKS:
        builder = SearchWorkChain.get_builder_restart(search, 0)
        builder.budget = Dict({'max_cycles': 2, 'max_labels': 100})
        with enable_caching():
            PKS['restarted'] = run_get_node(builder)[1].pk
    return load_node(PKS['restarted'])


@pytest.fixture
def begun_search(make_builder):
    """Return a search that has not done anything yet."""
    if 'begun' not in PKS:
        PKS['begun'] = instantiate_process(get_manager().get_runner(), make_builder()).node.pk
    return load_node(PKS['begun'])
