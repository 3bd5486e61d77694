"""Clusters, selection and the stop criterion as nodes."""

import numpy as np
import pytest
from aiida import orm
from aiida.plugins import CalculationFactory

from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.workflows.protocols import ProtocolError, load_protocol, protocol_descriptions

cluster_pool = CalculationFactory('prospect.cluster_pool')
select_candidates = CalculationFactory('prospect.select_candidates')
assess_convergence = CalculationFactory('prospect.assess_convergence')


@pytest.fixture
def parameters():
    return load_protocol('selection', 'fast')


@pytest.fixture
def relaxed(generate_frames):
    """Return the labels of random crystals as if they were a pool that an ensemble has relaxed."""
    frames = generate_frames('Si8', 12, labelled=True)
    spread = {'energy_spread': np.full(12, 0.1), 'forces_spread': np.full(96, 0.1)}
    return frames.replace(energy_initial=frames.energy + 0.01, status=['converged'] * 12, **spread)


def cluster(frames, parameters):
    return cluster_pool(pool=DatasetData(frames), parameters=orm.Dict(parameters['clusters']))['clusters']


def select(frames, clusters, parameters, cycle=1, labels=None, **changes):
    values = {**parameters['selection'], 'seed': 1, 'cycle': cycle, 'n_select': 4, **changes}
    nodes = {'pool': DatasetData(frames), 'clusters': clusters, 'parameters': orm.Dict(values)}
    return select_candidates(**nodes, **(labels or {}))['candidates']


@pytest.mark.usefixtures('aiida_profile')
class TestFunctions:
    def test_clusters_of_a_pool(self, relaxed, parameters):
        node = cluster(relaxed, parameters)
        assert set(node.get_arraynames()) == {'labels', 'representatives', 'energies', 'fingerprints'}
        assert node.get_array('fingerprints').shape == (12, 252)
        assert node.base.attributes.get('elements') == ['Si']
        assert node.creator.process_label == 'cluster_pool'

    def test_a_cycle_from_the_unrelaxed_pool_to_the_assessment(self, relaxed, parameters):
        unrelaxed = Frames(relaxed.numbers, relaxed.offsets, relaxed.positions, relaxed.cells)
        first = select(unrelaxed, cluster(unrelaxed, parameters), parameters, cycle=0)
        assert len(first) == 4
        labels = {'cycle_00': DatasetData(relaxed.select(first.frames.source).replace(status=['ok'] * 4))}
        clusters = cluster(relaxed, parameters)
        second = select(relaxed, clusters, parameters, labels=labels)
        assert len(second) == 4
        assert not set(first.frames.source) & set(second.frames.source)
        assert second.creator.process_label == 'select_candidates'
        assessment = assess_convergence(
            pool=DatasetData(relaxed),
            clusters=clusters,
            parameters=orm.Dict({**parameters['convergence'], 'cycle': 1}),
            **labels,
        )['assessment']
        assert assessment['cycle'] == 1
        assert assessment['n_labels'] == 4
        again = assess_convergence(
            pool=DatasetData(relaxed),
            clusters=clusters,
            parameters=orm.Dict({**parameters['convergence'], 'patience': 2, 'cycle': 2}),
            previous=assessment,
            **labels,
        )['assessment']
        assert again['stability']['quiet_cycles'] == 2

    def test_same_seed_same_candidates(self, relaxed, parameters):
        clusters = cluster(relaxed, parameters)
        one, other, third = (select(relaxed, clusters, parameters, strategy='random', seed=s) for s in (1, 1, 2))
        assert one.frames.equals(other.frames)
        assert not one.frames.equals(third.frames)

    def test_short_list(self, relaxed, parameters):
        clusters = cluster(relaxed, parameters)
        assert len(select(relaxed, clusters, parameters, n_select=100)) <= 12
        labels = {'cycle_00': DatasetData(relaxed.replace(status=['ok'] * 12))}
        assert len(select(relaxed, clusters, parameters, labels=labels)) == 0


def test_protocols():
    assert list(protocol_descriptions('selection')) == ['fast', 'balanced', 'stringent']
    for name in protocol_descriptions('selection'):
        values = load_protocol('selection', name)
        # What is not yet confirmed for the stop criterion must not count as labelled for the selection.
        assert values['selection']['energy_tolerance'] <= values['convergence']['max_error']
        assert values['selection']['tolerance'] <= values['convergence']['tolerance']
        assert values['convergence']['n_clusters'] <= values['selection']['options']['prospect']['n_lowest']
    with pytest.raises(ProtocolError, match='kapa'):
        load_protocol('selection', overrides={'selection': {'options': {'prospect': {'kapa': 1}}}})
