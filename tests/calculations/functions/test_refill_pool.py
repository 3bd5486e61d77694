import numpy as np
from aiida import orm
from aiida.plugins import CalculationFactory

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
