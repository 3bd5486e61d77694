import numpy as np
import pytest
from aiida import orm
from aiida.plugins import CalculationFactory
from ase.build import bulk

from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData

rank_minima = CalculationFactory('prospect.rank_minima')


@pytest.fixture
def relaxed():
    structures = [bulk('Si', 'fcc', a=3.9), bulk('Si', 'diamond', a=5.43), bulk('Si', 'diamond', a=5.43, cubic=True)]
    return DatasetData(
        Frames.from_atoms(
            structures,
            energy=[-4.1, np.nan, -36.8],
            status=['ok', 'failed', 'ok'],
            reason=['', 'no memory', ''],
            origin=['a', 'b', 'c'],
        )
    )


def test_minima_and_report(relaxed):
    results, node = rank_minima.run_get_node(relaxed, orm.Dict(), diamond=orm.StructureData(ase=bulk('Si')))
    assert node.is_finished_ok
    minima, report = results['minima'].frames, results['report'].get_dict()
    assert list(minima.origin) == ['c', 'a']
    assert minima.source.tolist() == [2, 0]
    assert [item['space_group_number'] for item in report['minima']] == [227, 225]
    assert report['minima'][0]['references'][0]['name'] == 'diamond'
    assert report['failed'] == [{'index': 1, 'origin': 'b', 'status': 'failed', 'reason': 'no memory'}]


def test_references_of_a_dataset_have_numbers(relaxed):
    known = DatasetData(Frames.from_atoms([bulk('Si', 'bcc', a=3.1), bulk('Si', 'fcc', a=3.9)]))
    report = rank_minima(relaxed, orm.Dict(), known=known)['report']
    assert {item['name']: item['found_as'] for item in report['references']} == {'known_0': [], 'known_1': [1]}


def test_settings(relaxed):
    report = rank_minima(relaxed, orm.Dict({'symprec': 0.01}))['report']
    assert report['settings']['symprec'] == 0.01
    with pytest.raises(ValueError, match='unknown setting'):
        rank_minima(relaxed, orm.Dict({'symprecision': 0.01}))


def test_nothing_relaxed(relaxed):
    results = rank_minima(DatasetData(relaxed.frames.select([1])), orm.Dict())
    assert len(results['minima']) == 0
    assert results['report']['minima'] == []
