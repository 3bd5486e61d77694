"""Tests for the list of labels and its costs."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType

from aiida_prospect.cli.root import cmd_root
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.workflows.provenance.costs_of_labels import labellings
from aiida_prospect.workflows.provenance.cycles import Cycle
from aiida_prospect.workflows.provenance.labels import LabelFilter, list_labels


def test_all_labels_are_listed_in_their_order(search):
    rows = list_labels(search)['labels']
    assert [row['index'] for row in rows] == list(range(9))
    assert [row['cycle'] for row in rows] == [0] * 6 + [1] * 3
    energies = np.concatenate([search.outputs[f'cycle_{c:02d}'].labels.frames.energy_per_atom for c in (0, 1)])
    told = [np.nan if row['energy_per_atom'] is None else row['energy_per_atom'] for row in rows]
    assert np.allclose(told, energies, equal_nan=True)


def test_costs_of_labels_add_up_to_the_cost_of_their_stage(search):
    links = search.base.links.get_outgoing(link_type=LinkType.CALL_WORK).all()
    called = {link.link_label: link.node for link in links}
    for cycle in (0, 1):
        found = list_labels(search, LabelFilter(cycle=cycle))
        report = called[f'cycle_{cycle:02d}_label'].outputs.report.get_dict()
        assert found['core_seconds'] == pytest.approx(report['core_seconds'])


def test_filters_divide_the_labels(search):
    everything = list_labels(search)
    statuses = everything['by_status']
    assert sum(statuses.values()) == 9
    for status, count in statuses.items():
        assert len(list_labels(search, LabelFilter(status=status))['labels']) == count
    dear = max(row['core_seconds'] for row in everything['labels'])
    assert all(row['core_seconds'] >= dear for row in list_labels(search, LabelFilter(cost=dear))['labels'])
    assert list_labels(search, LabelFilter(code='python'))['by_code'] == everything['by_code']
    assert list_labels(search, LabelFilter(code='vasp'))['labels'] == []


def test_sorted_by_energy_and_cost(search):
    energies = [row['energy_per_atom'] for row in list_labels(search, sorted_by='energy')['labels']]
    known = [energy for energy in energies if energy is not None]
    assert known == sorted(known)
    assert energies[: len(known)] == known
    costs = [row['core_seconds'] for row in list_labels(search, sorted_by='cost')['labels']]
    assert costs == sorted(costs, reverse=True)
    with pytest.raises(ValueError, match='index, energy, cost'):
        list_labels(search, sorted_by='colour')


def test_processes_and_costs_of_frames_that_have_their_own(aiida_profile, generate_frames):
    """As with a process for each frame: the second was begun twice, the third was rejected."""
    frames = generate_frames('Si4', 3, labelled=True).replace(status=['ok', 'ok', 'rejected'], steps=[1, 1, 0])
    caller, collector = orm.WorkChainNode().store(), orm.CalcFunctionNode()
    noted = orm.Dict({'frames': {'0': {'core_seconds': 5.0}, '1': {'core_seconds': 7.0}}}).store()
    pks = []
    for label in ('frame_0000', 'frame_0001', 'frame_0001_again_1'):
        child = orm.WorkChainNode()
        child.base.links.add_incoming(caller, LinkType.CALL_WORK, label)
        pks.append(child.store().pk)
    collector.base.links.add_incoming(noted, LinkType.INPUT_CALC, 'outcomes')
    collector.base.links.add_incoming(caller, LinkType.CALL_CALC, 'collect_labels')
    collector.store()
    labels = DatasetData(frames)
    labels.base.links.add_incoming(collector, LinkType.CREATE, 'labels')
    cycle = Cycle(0, {'labels': labels.store()}, {'label': caller})
    found = labellings([cycle])[0]
    assert [item.process for item in found] == [pks[0], pks[2], None]
    assert [item.core_seconds for item in found] == [5.0, 7.0, 0.0]


def test_what_a_user_reads(search, capsys):
    command = ['labels', str(search.pk), '--cycle', '1', '--sort', 'energy']
    cmd_root.main(command, prog_name='aiida-prospect', standalone_mode=False)
    text = capsys.readouterr().out
    assert '3 labels: ' in text
    assert 'python@localhost' in text
