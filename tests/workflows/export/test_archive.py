"""Tests that a colleague can import the result of a search into a profile that is empty."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from aiida import orm
from aiida.tools.archive.abstract import get_format

from aiida_prospect.workflows.export.archive import GROUP, write_archive
from aiida_prospect.workflows.export.files import export_search
from aiida_prospect.workflows.provenance.cycles import load_cycles
from aiida_prospect.workflows.provenance.why import explain

COLLEAGUE = """
import json, sys
from aiida import load_profile, orm
from aiida.cmdline.commands.cmd_verdi import verdi
from aiida.manage.configuration import create_profile, get_config

create_profile(get_config(create=True), name='colleague', email='c@localhost', storage_backend='core.sqlite_dos',
               storage_config={})
load_profile('colleague')
folder, found = sys.argv[1], {'before': orm.QueryBuilder().append(orm.Node).count()}
verdi.main(['-p', 'colleague', 'archive', 'import', f'{folder}/result.aiida'], standalone_mode=False)
query = orm.QueryBuilder().append(orm.Group, filters={'label': {'like': 'prospect/Si4/%'}}, tag='group')
group = query.all(flat=True)[0]
names = group.base.extras.get('nodes')
found['processes'] = orm.QueryBuilder().append(orm.ProcessNode).count()
found['search'] = group.base.extras.get('search')
query.append(orm.StructureData, with_group='group', project='uuid')
found['structures'] = sorted(query.all(flat=True))
ranking = orm.load_node(names['ranking'])
found['best'] = ranking['minima'][0]['energy_per_atom']
found['labels'] = [len(orm.load_node(names[f'cycle_{cycle:02d}.labels'])) for cycle in (0, 1)]
found['energies'] = orm.load_node(names['cycle_00.labels']).frames.energy.tolist()
found['potential'] = orm.load_node(names['potentials.potential_00']).base.caching.compute_hash()

verdi.main(['-p', 'colleague', 'archive', 'import', f'{folder}/provenance.aiida'], standalone_mode=False)
from aiida_prospect.workflows.provenance.history import trace
from aiida_prospect.workflows.provenance.why import explain
from aiida_prospect.workflows.summary import summarise

search = orm.load_node(found['search'])
found['why'] = explain(search, 7)
found['cost'] = summarise(search)['cost']['total']
found['origin'] = trace(orm.load_node(names['structures.minimum_00']))['origin']
print('RESULT' + json.dumps(found))
"""


@pytest.fixture(scope='module')
def results():
    return {}


@pytest.fixture
def imported(search, results, tmp_path):
    """Return what a colleague finds after importing."""
    if not results:
        folder = tmp_path / 'export'
        export_search(search, folder, provenance=True)
        results['sizes'] = {path.name: path.stat().st_size for path in folder.glob('*.aiida')}
        environment = {**os.environ, 'AIIDA_PATH': str(tmp_path)}
        command = [sys.executable, '-W', 'ignore', '-c', COLLEAGUE, str(folder)]
        told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stdout + told.stderr
        results |= json.loads(told.stdout.split('RESULT')[1])
    return results


def test_the_small_archive_holds_the_result_and_no_process(search, imported):
    assert imported['before'] == 0
    assert imported['processes'] == 0
    assert imported['search'] == search.uuid
    structures = [search.outputs.structures[name].uuid for name in search.outputs.structures]
    assert set(structures) <= set(imported['structures'])
    assert imported['best'] == pytest.approx(search.outputs.ranking['minima'][0]['energy_per_atom'])
    assert imported['labels'] == [6, 3]
    assert imported['energies'] == pytest.approx(search.outputs.cycle_00.labels.frames.energy.tolist(), nan_ok=True)
    assert imported['potential'] == search.outputs.cycle_01.potentials.potential_00.base.caching.compute_hash()


def test_the_small_archive_is_small(imported):
    assert imported['sizes']['result.aiida'] < imported['sizes']['provenance.aiida'] / 5


def test_with_the_provenance_all_questions_are_answered(search, imported):
    here = json.loads(json.dumps(explain(search, 7)))
    for key in ('origin', 'reason', 'strategy', 'training', 'prediction', 'formula'):
        assert imported['why'][key] == here[key]
    assert imported['cost'] > 0
    assert imported['origin'] == search.outputs.ranking['minima'][0]['origin']


def processes_in(path):
    with get_format().open(path, 'r') as reader:
        return set(reader.querybuilder().append(orm.ProcessNode, project='uuid').all(flat=True))


def test_the_provenance_of_a_restart_has_what_it_takes_up(search, restarted_search, tmp_path):
    cycles = load_cycles(restarted_search)
    path = write_archive(restarted_search, cycles, tmp_path / 'provenance.aiida', everything=True)
    expected = {node.uuid for node in (search, restarted_search, *search.called_descendants)}
    assert expected <= processes_in(path)


def test_what_was_imported_can_be_exported(failed_search, tmp_path):
    """The import has made the group that an export makes."""
    label = GROUP.format(formula='Si4', uuid=failed_search.uuid)
    group = orm.Group(label).store()
    try:
        export_search(failed_search, tmp_path / 'export')
        assert orm.Group.collection.get(label=label).pk == group.pk
    finally:
        orm.Group.collection.delete(group.pk)
    assert processes_in(tmp_path / 'export' / 'result.aiida') == set()


def test_nothing_is_left_in_the_profile_of_who_exports(imported):
    assert orm.QueryBuilder().append(orm.Group, filters={'label': {'like': 'prospect/%'}}).count() == 0
