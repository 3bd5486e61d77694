import io
import json

import pytest
from aiida.common import LinkType
from aiida.engine import run_get_node
from aiida.orm import CalcJobNode, Dict, Int, WorkChainNode
from aiida.plugins import WorkflowFactory

from aiida_prospect.calculations.runners.stages import RESULTS_FILE
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.data.potential import PotentialData
from aiida_prospect.workflows.train.ensemble import _is_hopeless

TINY = {
    'descriptor': {'neuron': [4, 8], 'axis_neuron': 4, 'rcut': 4.0},
    'fitting': {'neuron': [8, 8]},
    'cold': {'steps': 40},
    'warm': {'steps': 20},
    'progress': None,
}
TrainEnsembleWorkChain = WorkflowFactory('prospect.train.ensemble')


@pytest.fixture
def builder(python_code, silicon_labels):
    def factory(n_models):
        overrides = {'force_field': 'deepmd', 'n_models': n_models, 'max_concurrent': 2, 'member': TINY}
        builder = TrainEnsembleWorkChain.get_builder_from_protocol(
            python_code, silicon_labels, protocol='fast', overrides=overrides
        )
        builder.ensemble = Dict({'max_error_ratio': {'energy': 10.0}, 'min_models': 2})
        builder.seed = Int(1)
        return builder

    return factory


@pytest.fixture
def silicon_labels(silicon_frames):
    from tests.conftest import label

    frames = label(silicon_frames(12, noise=0.03))
    small = label(silicon_frames(4, n_atoms=2, noise=0.03, seed=1))
    energy = frames.energy.copy()
    energy[4] += 1e4
    return {
        'cycle_00': DatasetData(frames.replace(energy=energy)),
        'cycle_01': DatasetData(small.replace(status=['failed'] + ['ok'] * 3)),
    }


def test_trainings_none_of_which_may_run_are_refused(python_code, silicon_labels):
    with pytest.raises(ValueError, match='0 is not positive'):
        TrainEnsembleWorkChain.get_builder_from_protocol(python_code, silicon_labels, overrides={'max_concurrent': 0})


def test_a_spoiled_member_is_trained_again_and_then_left_out(builder):
    inputs = builder(3)
    spoiled = inputs.member['parameters'].get_dict()
    # Energies that begin so far off are not corrected in so few steps.
    spoiled['fitting'] = {**spoiled['fitting'], 'atom_ener': [1000.0]}
    inputs.members = {'member_01': {'parameters': Dict(spoiled)}}
    results, node = run_get_node(inputs)
    assert node.is_finished_ok, node.exit_message
    trainings = node.base.links.get_outgoing(link_type=LinkType.CALL_WORK).all_link_labels()
    assert sorted(trainings) == ['member_00', 'member_01', 'member_01_again', 'member_02']
    report = results['report'].get_dict()
    assert report['accepted'] == ['member_00', 'member_02']
    assert 'times the median' in report['refused']['member_01']
    assert report['core_seconds'] == pytest.approx(sum(seconds_of_jobs(node, 4)))
    assert report['core_seconds'] > sum(report['seconds'].values())
    assert sorted(results['potentials']) == ['potential_00', 'potential_01']
    assert sorted(results['curves']) == ['member_00', 'member_01', 'member_02']
    hashes = {potential.base.repository.hash() for potential in results['potentials'].values()}
    assert len(hashes) == 2
    rejected = results['acceptance']['rejected']
    assert list(rejected['cycle_00']) == ['4']
    assert rejected['cycle_01'] == {'0': 'the label is `failed`'}
    assert results['acceptance']['n_accepted'] == 14

    # One good potential of two is too few; it is given nevertheless, and its training starts from an earlier one.
    inputs = builder(2)
    spoiled['fitting'] = {'neuron': 'none'}
    inputs.members = {'member_01': {'parameters': Dict(spoiled)}}
    inputs.initial = dict(results['potentials'])
    inputs.pretrained = trained_elsewhere(results['potentials']['potential_00'])
    results, node = run_get_node(inputs)
    assert node.exit_status == 402
    trainings = node.base.links.get_outgoing(link_type=LinkType.CALL_WORK)
    assert trainings.get_node_by_label('member_01').inputs.initial == inputs.initial['potential_01']
    assert trainings.get_node_by_label('member_01_again').inputs.initial == inputs.pretrained
    assert 'Of 2 potentials 1 are good, fewer than 2: member_01: DeepmdTrainWorkChain' in node.exit_message
    assert sorted(results['potentials']) == ['potential_00']
    first = results['curves']['member_00']
    assert first.get_array('step')[-1] == 20
    assert results['report']['core_seconds'] == pytest.approx(sum(seconds_of_jobs(node, 3)))
    assert list(results['report']['seconds']) == ['member_00']


def seconds_of_jobs(ensemble, count):
    """Return how long the jobs took that are known to have run, one process each."""
    jobs = [node for node in ensemble.called_descendants if isinstance(node, CalcJobNode)]
    assert len(jobs) == count
    told = [json.loads(job.outputs.retrieved.base.repository.get_object_content(RESULTS_FILE)) for job in jobs]
    return [outcome['total_seconds'] for outcome in told]


def test_all_that_was_run_for_a_member_is_paid_for(builder, set_up, make_training):
    """Trained twice, a member costs the sum; so do jobs run again, those of a failed member, and all processes."""
    process = set_up(builder(3))
    first = [make_training(10.0), make_training(7.0, 2.0, good=False), make_training(1.0, 3.0, 20.0, processes=2)]
    process.ctx.queue, process.ctx.launched, process.ctx.trainings = [], [(0, 0), (1, 0), (2, 0)], first
    process.inspect_members()
    assert process.ctx.judgement['core_seconds'] == pytest.approx(10 + (7 + 2) + 2 * (1 + 3 + 20))
    assert process.ctx.queue == [(1, 1)]
    process.ctx.queue, process.ctx.launched = [], [*process.ctx.launched, (1, 1)]
    process.ctx.trainings = [*first, make_training(12.0)]
    process.inspect_members()
    assert process.ctx.judgement['accepted'] == ['member_00', 'member_01', 'member_02']
    assert process.ctx.judgement['seconds'] == {'member_00': 10, 'member_01': 12, 'member_02': 20}
    assert process.ctx.judgement['core_seconds'] == pytest.approx(10 + (7 + 2 + 12) + 2 * (1 + 3 + 20))
    costs = process.ctx.judgement.creator.inputs.costs.get_dict()
    assert costs == {'member_00': 10, 'member_01': 21, 'member_02': 48}


def trained_elsewhere(potential):
    """Return a potential of which nobody knows where it comes from."""
    handle = io.BytesIO()
    potential.write_model(handle)
    handle.seek(0)
    return PotentialData.from_files(
        handle, backend='tensorflow', type_map=potential.type_map, cutoff=potential.cutoff
    ).store()


@pytest.fixture
def potentials():
    """Return two that were trained elsewhere, and one of an earlier training."""
    nodes = [
        PotentialData.from_files(io.BytesIO(text), backend='tensorflow', type_map=['Si'], cutoff=4.0)
        for text in (b'1', b'2', b'3')
    ]
    training = CalcJobNode(process_type='aiida.calculations:prospect.deepmd_train').store()
    nodes[2].base.links.add_incoming(training, LinkType.CREATE, 'potential')
    return [node.store() for node in nodes]


def test_what_was_trained_elsewhere_is_the_start_of_the_second_training_too(builder, potentials, set_up):
    first, pretrained, earlier = potentials
    inputs = builder(3)
    inputs.initial = {'potential_00': first, 'potential_01': earlier}
    process = set_up(inputs)
    process.ctx.acceptance = Dict({'rejected': {}})
    starts = [[process._member_inputs(index, attempt).get('initial') for attempt in (0, 1)] for index in range(3)]
    assert starts == [[first, first], [earlier, None], [None, None]]
    seeds = {process._member_inputs(0, attempt).seed.value for attempt in (0, 1)}
    assert len(seeds) == 2
    inputs.pretrained = pretrained
    process = set_up(inputs)
    starts = [[process._start_of(index, attempt) for attempt in (0, 1)] for index in range(3)]
    assert starts == [[first, first], [earlier, pretrained], [pretrained, pretrained]]
    process.ctx.acceptance = Dict({'rejected': {}})
    kept = [[process._member_inputs(index, attempt).keep_initial.value for attempt in (0, 1)] for index in range(3)]
    assert kept == [[False, False], [False, True], [True, True]]


@pytest.mark.parametrize(('status', 'hopeless'), [(201, True), (411, False), (501, False)])
def test_only_data_that_do_not_fit_the_same_start_are_hopeless(potentials, status, hopeless):
    first, _, earlier = potentials
    training = WorkChainNode()
    training.base.links.add_incoming(first, LinkType.INPUT_WORK, 'initial')
    training.set_exit_status(status)
    assert _is_hopeless(training, first) is hopeless
    assert not _is_hopeless(training, earlier)
    assert not _is_hopeless(training, None)
    fresh = WorkChainNode()
    fresh.set_exit_status(status)
    assert _is_hopeless(fresh, None) is hopeless


def test_a_single_model_is_allowed_and_foreign_potentials_are_no_start(builder, tmp_path):
    path = tmp_path / 'model'
    path.write_bytes(b'x')
    inputs = builder(1)
    foreign = PotentialData.from_files(path, backend='tensorflow', type_map=['Ge'], cutoff=4.0)
    inputs.initial = {'potential_00': foreign}
    results, node = run_get_node(inputs)
    assert node.is_finished_ok, node.exit_message
    assert list(results['potentials']) == ['potential_00']


def test_nothing_left_after_cleaning(builder, silicon_frames):
    inputs = builder(2)
    frames = inputs.training['cycle_00'].frames
    inputs.training = {'cycle_00': DatasetData(frames.replace(status=['unconverged'] * len(frames)))}
    _, node = run_get_node(inputs)
    assert node.exit_status == 201
    assert 'All 12 frames were rejected: the label is `unconverged` (12)' in node.exit_message


@pytest.mark.parametrize(
    ('rules', 'words'),
    [
        ({'max_froce': 5.0}, 'unknown cleaning rules: max_froce'),
        ({'max_force': '5'}, "`limit` is '5', expected a number"),
        ({'force_excess': {'sigmas': 3}}, "missing a required argument: 'at_least'"),
        ({'force_excess': {'sigmas': 3, 'at_least': None}}, '`at_least` is None'),
    ],
)
def test_rules_that_would_end_the_training_are_refused(builder, rules, words):
    inputs = builder(2)
    with pytest.raises(ValueError, match=words):
        inputs.cleaning = Dict(rules)


def test_a_member_that_there_is_not_is_refused(builder):
    inputs = builder(2)
    inputs.members = {'member_2': {'parameters': inputs.member['parameters']}}
    with pytest.raises(ValueError, match=r'`members\.member_2` is none of member_00, member_01'):
        run_get_node(inputs)


def test_nothing_to_train_on_is_refused(builder, generate_frames):
    with pytest.raises(ValueError, match='no set of frames'):
        builder(2).training = {'cycle_00': DatasetData(generate_frames('Si2', 2))}
    inputs = builder(2)
    inputs.n_models = Int(0)
    with pytest.raises(ValueError, match='expected at least 1'):
        run_get_node(inputs)
