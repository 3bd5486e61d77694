import pytest
from aiida.common import LinkType
from aiida.engine import run_get_node
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.orm import CalcJobNode, Dict, RemoteData
from aiida.plugins import CalculationFactory, WorkflowFactory

from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.workflows.protocols import ProtocolError

TINY = {
    'descriptor': {'neuron': [4, 8], 'axis_neuron': 4, 'rcut': 4.0},
    'fitting': {'neuron': [8, 8]},
    'cold': {'steps': 20},
    'progress': None,
}
DeepmdTrainWorkChain = WorkflowFactory('prospect.train.deepmd')
EXIT_CODES = CalculationFactory('prospect.deepmd_train').exit_codes


@pytest.fixture
def builder(python_code, generate_frames):
    training = {'cycle_00': DatasetData(generate_frames('Si4', 6, labelled=True))}
    return DeepmdTrainWorkChain.get_builder_from_protocol(python_code, training, protocol='fast', overrides=TINY)


@pytest.fixture
def process(builder):
    """Return a work chain that has been set up, as it is after a first job."""
    process = instantiate_process(get_manager().get_runner(), builder)
    process.setup()
    process.ctx.iteration = 1
    return process


@pytest.fixture
def ended(aiida_localhost, tmp_path):
    def factory(exit_code):
        node = CalcJobNode(computer=aiida_localhost, process_type='aiida.calculations:prospect.deepmd_train')
        node.set_exit_status(exit_code.status)
        node.set_exit_message(exit_code.message)
        node.set_process_state('finished')
        node.set_option('resources', {'num_machines': 1})
        node.store()
        remote = RemoteData(remote_path=str(tmp_path), computer=aiida_localhost)
        remote.base.links.add_incoming(node, LinkType.CREATE, 'remote_folder')
        remote.store()
        return node

    return factory


def inspect(process, node):
    process.ctx.children = [node]
    return process.inspect_process()


@pytest.mark.parametrize(
    'name', ['ERROR_SCHEDULER_OUT_OF_WALLTIME', 'ERROR_SCHEDULER_NODE_FAILURE', 'ERROR_INTERRUPTED']
)
def test_an_interrupted_training_is_continued(process, ended, name):
    node = ended(getattr(EXIT_CODES, name))
    before = process.ctx.inputs.parameters
    assert inspect(process, node).status == 0
    assert process.ctx.inputs.parent_folder.uuid == node.outputs.remote_folder.uuid
    assert process.ctx.inputs.parameters.uuid == before.uuid


def test_after_nan_another_seed_and_a_lower_rate_begin_from_scratch(process, ended):
    before, seed = process.ctx.inputs.parameters.get_dict(), process.ctx.inputs.seed.value
    process.ctx.inputs.parent_folder = ended(EXIT_CODES.ERROR_INTERRUPTED).outputs.remote_folder
    assert inspect(process, ended(EXIT_CODES.ERROR_TRAINING_NAN)).status == 0
    after = process.ctx.inputs.parameters.get_dict()
    assert after['cold']['learning_rate']['start_lr'] < before['cold']['learning_rate']['start_lr']
    assert process.ctx.inputs.seed.value != seed
    assert 'parent_folder' not in process.ctx.inputs


def test_a_loss_that_does_not_fall_gets_larger_batches_and_in_the_end_an_exit_code(process, ended):
    node = ended(EXIT_CODES.ERROR_LOSS_NOT_FALLING)
    sizes = []
    for _ in range(2):
        assert inspect(process, node).status == 0
        sizes.append(process.ctx.inputs.parameters['batch_size'])
    assert sizes == ['auto:64', 'auto:128']
    final = inspect(process, node)
    assert (final.status, process.ctx.is_finished) == (501, True)
    assert '4 times larger' in final.message


@pytest.mark.parametrize(
    ('name', 'status'),
    [
        ('ERROR_INVALID_DATA', 201),
        ('ERROR_BACKEND_NOT_FOUND', 201),
        ('ERROR_STAGE_FAILED', 411),
        ('ERROR_SCHEDULER_OUT_OF_MEMORY', 411),
    ],
)
def test_what_would_fail_again_is_not_tried_again(process, ended, name, status):
    assert inspect(process, ended(getattr(EXIT_CODES, name))).status == status


def test_a_slow_loss_is_trained_again_and_its_potential_is_still_given(builder):
    parameters = {**builder.parameters.get_dict(), 'progress': {'max_unlearned_share': 1e-6}}
    builder.parameters = Dict(parameters)
    results, node = run_get_node(builder)
    assert node.exit_status == 501
    assert len(node.called) == 3
    assert {'potential', 'learning_curve', 'results'} <= set(results)


def test_misspelt_overrides_are_refused(python_code):
    with pytest.raises(ProtocolError, match='augmentaton'):
        DeepmdTrainWorkChain.get_builder_from_protocol(python_code, overrides={'augmentaton': {}})
