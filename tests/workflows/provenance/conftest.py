"""Searches that were made by hand, as they are after some cycles."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.data.potential import PotentialData

LENNARD_JONES = 'ase.calculators.lj:LennardJones'
PKS: dict[str, int] = {}


@pytest.fixture
def make_search(aiida_profile):
    """Return a factory of searches with these inputs and outputs; links have the names of ports."""

    def factory(inputs, outputs, ended=True):
        node = orm.WorkChainNode(process_type='aiida.workflows:prospect.search')
        node.set_process_label('SearchWorkChain')
        if ended:
            node.set_process_state('finished')
            node.set_exit_status(0)
        for name, value in inputs.items():
            node.base.links.add_incoming(value.store(), LinkType.INPUT_WORK, name)
        node.store()
        for name, value in outputs.items():
            value.store().base.links.add_incoming(node, LinkType.RETURN, name)
        return node

    return factory


@pytest.fixture
def make_labels(generate_frames):
    """Return a factory of labels, all different and as many as asked for."""

    def factory(count, seed, status='ok'):
        frames = generate_frames('Si4', count, seed=seed, labelled=True)
        return DatasetData(frames.replace(status=[status] * count, reason=['by hand'] * count))

    return factory


@pytest.fixture
def outputs_of(make_labels):
    """Return a function that makes what some cycles give; a cycle has one label more than the one before."""

    def make(numbers, seed):
        outputs, pool = {}, make_labels(3, 100 * seed + 99)
        potential = PotentialData.from_calculator(LENNARD_JONES, {'epsilon': seed}, elements=['Si'])
        for number in numbers:
            labels = make_labels(number + 1, 100 * seed + number)
            for name in ('candidates', 'labels'):
                outputs[f'cycle_{number:02d}__{name}'] = labels
            outputs[f'cycle_{number:02d}__potentials__potential_00'] = potential
            outputs[f'cycle_{number:02d}__pool'] = pool
        return outputs

    return make


@pytest.fixture
def first_search(make_search, outputs_of):
    """Return a search of six cycles, the same for all tests."""
    if 'first' not in PKS:
        PKS['first'] = make_search({}, outputs_of(range(6), 1)).pk
    return orm.load_node(PKS['first'])


@pytest.fixture
def take_up(make_search):
    """Return a function that makes the search which takes up another one after a cycle, with these labels."""

    def make(search, after, labels, outputs):
        given = {f'restart__labels__{name}': node for name, node in labels.items()}
        pool = search.outputs[f'cycle_{after:02d}'].pool
        return make_search({'restart__cycle': orm.Int(after + 1), 'restart__pool': pool, **given}, outputs)

    return make
