import numpy as np
from aiida import orm
from aiida.plugins import CalculationFactory
from ase.build import bulk

from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.workflows.protocols import load_protocol

generate_pool = CalculationFactory('prospect.generate_pool')
refill_pool = CalculationFactory('prospect.refill_pool')


def test_copies_and_unusable_frames_give_room_to_new_ones():
    values = {**load_protocol('pool', 'fast', {'n_structures': 6}), 'composition': {'Si': 2}, 'seed': 3}
    pool = generate_pool(orm.Dict(values))['pool']
    relaxed = DatasetData(pool.frames.replace(energy=np.arange(6.0)))
    clusters = orm.ArrayData({'labels': np.array([0, 0, 1, 0, -1, -2])})
    parameters = {**values, 'keep_per_cluster': 1, 'keep_share': 1.0, 'cycle': 1}
    filled, node = refill_pool.run_get_node(relaxed, clusters, orm.Dict(parameters))
    assert node.is_finished_ok
    kept = [0, 2, 5]
    assert filled.frames.select(kept).equals(relaxed.frames.select(kept))
    assert [name.startswith('c01-') for name in filled.frames.origin] == [False, True, False, True, True, False]
    assert np.all(np.isnan(filled.frames.energy[[1, 3, 4]]))


def test_refusal_has_a_status_and_says_why():
    values = {**load_protocol('pool', 'fast', {'n_structures': 4}), 'composition': {'Si': 2}, 'seed': 3}
    pool = generate_pool(orm.Dict(values))['pool']
    clusters = orm.ArrayData({'labels': np.full(4, -1)})
    parameters = {**values, 'keep_per_cluster': 0, 'keep_share': 1.0, 'cycle': 1}
    _, node = refill_pool.run_get_node(pool, clusters, orm.Dict(parameters))
    assert node.exit_status == 201
    assert 'keep_per_cluster' in node.exit_message


def test_own_structures_are_found_again_in_the_order_of_their_names():
    values = {**load_protocol('pool', 'fast', {'n_structures': 2}), 'composition': {'Si': 2}, 'seed': 3}
    own = {
        'b': orm.StructureData(ase=bulk('Si', 'diamond', a=5.4)),
        'a': orm.StructureData(ase=bulk('Si', 'sc', a=2.5)),
    }
    pool = generate_pool(orm.Dict(values), **own)['pool']
    collapsed = DatasetData(pool.frames.replace(positions=pool.frames.positions / 2, cells=pool.frames.cells / 2))
    clusters = orm.ArrayData({'labels': np.array([-1, -1, 0, 1])})
    parameters = {**values, 'keep_per_cluster': 1, 'keep_share': 1.0, 'cycle': 1}
    named = {f'own_{name}': node for name, node in own.items()}
    filled, node = refill_pool.run_get_node(collapsed, clusters, orm.Dict(parameters), **named)
    assert node.is_finished_ok
    assert filled.frames.select([0, 1]).equals(pool.frames.select([0, 1]))
    assert filled.frames.select([2, 3]).equals(collapsed.frames.select([2, 3]))
