import numpy as np
import pytest
from aiida import orm
from aiida.plugins import CalculationFactory
from ase.build import bulk

from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.pool.spec import PoolSpec
from aiida_prospect.workflows.protocols import load_protocol, protocol_descriptions

generate_pool = CalculationFactory('prospect.generate_pool')


def parameters(**changes):
    values = load_protocol('pool', 'fast', {'n_structures': 12})
    return orm.Dict({**values, 'composition': {'Si': 2}, 'seed': 3, **changes})


@pytest.mark.parametrize('protocol', protocol_descriptions('pool'))
def test_protocols_are_complete_specifications(protocol):
    values = load_protocol('pool', protocol, {'min_distances': {'Na-Cl': 2.0}})
    spec = PoolSpec.from_parameters({**values, 'composition': 'NaCl'})
    assert spec.resolved_distances()['Cl-Na'] == 2.0
    assert set(values) | {'composition'} == set(PoolSpec.__dataclass_fields__)


def test_pool_and_report_are_linked_to_parameters():
    results, node = generate_pool.run_get_node(parameters())
    assert node.is_finished_ok
    assert len(results['pool']) == 12
    assert sum(results['report']['made'].values()) == 12
    assert results['pool'].creator.pk == node.pk


def test_pool_depends_on_seed_and_prefix_only():
    pools = [
        generate_pool(parameters(**changes))['pool'].frames
        for changes in ({}, {}, {'seed': 4}, {'origin_prefix': 'c01-'})
    ]
    assert pools[0].equals(pools[1])
    assert not np.array_equal(pools[0].cells, pools[2].cells)
    assert not np.array_equal(pools[0].cells, pools[3].cells)
    assert all(name.startswith('c01-') for name in pools[3].origin)


def test_structures_and_datasets_are_added():
    results = generate_pool(
        parameters(),
        diamond=orm.StructureData(ase=bulk('Si', cubic=True)),
        others=DatasetData(Frames.from_atoms([bulk('Si', 'bcc', a=3.1), bulk('Si', 'hcp', a=2.7, c=4.4)])),
    )
    assert list(results['pool'].frames.origin[:3]) == ['own-000000', 'own-000001', 'own-000002']
    assert len(results['pool']) == 15


@pytest.mark.parametrize(
    ('changes', 'status', 'message'),
    [
        ({'min_distances': {'Si-Si': 5.0}}, 202, 'minimum distance Si-Si 5.00 Å does not fit'),
        ({'n_structures': -1}, 201, '`n_structures` is -1'),
        ({'seed': -1}, 201, 'seed'),
        ({'composition': {'Xx': 1}}, 201, 'no chemical element'),
        ({'colour': 1}, 201, 'colour unknown'),
    ],
)
def test_refusal_has_a_status_and_says_why(changes, status, message):
    _, node = generate_pool.run_get_node(parameters(**changes))
    assert node.exit_status == status
    assert message in node.exit_message
