import io

import pytest
from aiida.common import LinkType
from aiida.engine import run_get_node
from aiida.orm import Bool, Dict
from aiida.plugins import CalculationFactory, WorkflowFactory

from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.data.potential import PotentialData
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
def process(builder, set_up):
    return set_up(builder)


@pytest.mark.parametrize(
    ('name', 'factor'),
    [
        ('ERROR_SCHEDULER_OUT_OF_WALLTIME', 2),
        ('ERROR_SCHEDULER_NODE_FAILURE', 1),
        ('ERROR_INTERRUPTED', 1),
        ('ERROR_OUTPUT_UNREADABLE', 1),
    ],
)
def test_an_interrupted_training_is_continued(process, ended, name, factor, inspect):
    node = ended(getattr(EXIT_CODES, name))
    before = process.ctx.inputs.parameters
    seconds = process.ctx.inputs.metadata['options']['max_wallclock_seconds']
    assert inspect(process, node).status == 0
    assert process.ctx.inputs.parent_folder.uuid == node.outputs.remote_folder.uuid
    assert process.ctx.inputs.parameters.uuid == before.uuid
    assert process.ctx.inputs.metadata['options']['max_wallclock_seconds'] == factor * seconds


def test_a_training_that_lacked_memory_gets_more_until_the_limit(builder, ended, inspect, set_up):
    builder.options = Dict({**builder.options.get_dict(), 'max_memory_kb': 1000})
    builder.escalation = Dict({'max_memory_kb': 1500})
    process = set_up(builder)
    node = ended(EXIT_CODES.ERROR_SCHEDULER_OUT_OF_MEMORY)
    assert inspect(process, node).status == 0
    assert process.ctx.inputs.metadata['options']['max_memory_kb'] == 1500
    final = inspect(process, node)
    assert final.status == 411
    assert '1500 kB of memory were not enough' in final.message


def test_memory_that_a_computer_gives_by_itself_is_enlarged_too(process, ended, inspect, aiida_localhost):
    aiida_localhost.set_default_memory_per_machine(700)
    try:
        assert inspect(process, ended(EXIT_CODES.ERROR_SCHEDULER_OUT_OF_MEMORY)).status == 0
    finally:
        aiida_localhost.set_default_memory_per_machine(None)
    assert process.ctx.inputs.metadata['options']['max_memory_kb'] == 1400


def test_a_training_that_the_machine_loses_again_and_again_is_given_up(process, ended, inspect):
    node = ended(EXIT_CODES.ERROR_SCHEDULER_NODE_FAILURE)
    assert [inspect(process, node).status for _ in range(4)] == [0, 0, 0, 411]


def test_after_nan_another_seed_and_a_lower_rate_begin_from_scratch(process, ended, inspect):
    before, seed = process.ctx.inputs.parameters.get_dict(), process.ctx.inputs.seed.value
    process.ctx.inputs.parent_folder = ended(EXIT_CODES.ERROR_INTERRUPTED).outputs.remote_folder
    assert inspect(process, ended(EXIT_CODES.ERROR_TRAINING_NAN)).status == 0
    after = process.ctx.inputs.parameters.get_dict()
    assert after['cold']['learning_rate']['start_lr'] < before['cold']['learning_rate']['start_lr']
    assert process.ctx.inputs.seed.value != seed
    assert 'parent_folder' not in process.ctx.inputs


def test_a_loss_that_does_not_fall_gets_larger_batches_and_in_the_end_an_exit_code(process, ended, inspect):
    node = ended(EXIT_CODES.ERROR_LOSS_NOT_FALLING)
    sizes = []
    for _ in range(2):
        assert inspect(process, node).status == 0
        sizes.append(process.ctx.inputs.parameters['batch_size'])
    assert sizes == ['auto:64', 'auto:128']
    final = inspect(process, node)
    assert (final.status, process.ctx.is_finished) == (501, True)
    assert '4 times larger' in final.message


def test_larger_batches_begin_from_scratch_but_from_a_pretrained_model_again(builder, ended, inspect, set_up):
    for is_ours, keep in ((False, False), (True, False), (True, True)):
        potential = PotentialData.from_files(io.BytesIO(b'1'), backend='tensorflow', type_map=['Si'], cutoff=4.0)
        if is_ours:
            training = ended(EXIT_CODES.ERROR_INTERRUPTED)
            potential.base.links.add_incoming(training, LinkType.CREATE, 'potential')
        builder.initial = potential.store()
        builder.keep_initial = Bool(keep)
        process = set_up(builder)
        assert inspect(process, ended(EXIT_CODES.ERROR_LOSS_NOT_FALLING)).status == 0
        assert ('initial' in process.ctx.inputs) is (keep or not is_ours)


@pytest.mark.parametrize(
    ('name', 'status'),
    [
        ('ERROR_INVALID_DATA', 201),
        ('ERROR_BACKEND_NOT_FOUND', 201),
        ('ERROR_STAGE_FAILED', 411),
        ('ERROR_SCHEDULER_OUT_OF_MEMORY', 411),
    ],
)
def test_what_would_fail_again_is_not_tried_again(process, ended, name, status, inspect):
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
