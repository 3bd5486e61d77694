"""Tests for the result of a search as files."""

from __future__ import annotations

import json

import click
import numpy as np
import pytest
from aiida.tools.archive.exceptions import ArchiveExportError
from ase.io import read
from pymatgen.core import Structure
from pymatgen.io.cif import CifFile

from aiida_prospect.cli.root import cmd_root
from aiida_prospect.methods.evaluators.loading import load_ensemble
from aiida_prospect.methods.formats import read_frames
from aiida_prospect.methods.matching import MatchSettings, displacement, structure_of
from aiida_prospect.workflows.export import archive
from aiida_prospect.workflows.export.files import export_search

FOLDERS: dict[str, object] = {}


@pytest.fixture
def folder(search, tmp_path_factory):
    """Return the folder of the finished search, written once by the command."""
    if 'search' not in FOLDERS:
        FOLDERS['search'] = tmp_path_factory.mktemp('export') / 'result'
        command = ['export', str(search.pk), str(FOLDERS['search']), '--provenance']
        cmd_root.main(command, prog_name='aiida-prospect', standalone_mode=False)
    return FOLDERS['search']


def test_minima_are_the_same_crystals_in_every_format(search, folder):
    frames = search.outputs.minima.frames
    for rank in range(len(frames)):
        stored = structure_of(frames[rank])
        for suffix, tolerance in (('cif', 0.1), ('vasp', 1e-4)):
            written = Structure.from_file(folder / 'minima' / f'minimum_{rank:02d}.{suffix}')
            assert displacement(stored, written, MatchSettings()) < tolerance
    assert read_frames(folder / 'minima' / 'minima.extxyz').energy == pytest.approx(frames.energy)
    assert len(json.loads((folder / 'minima' / 'ranking.json').read_text())['minima']) == len(frames)


def test_cif_has_the_space_group_of_the_ranking(search, folder):
    minima = search.outputs.ranking['minima']
    assert any(minimum['space_group_number'] > 1 for minimum in minima)
    for rank, minimum in enumerate(minima):
        block = CifFile.from_file(folder / 'minima' / f'minimum_{rank:02d}.cif').data.popitem()[1]
        assert int(block['_symmetry_Int_Tables_number']) == minimum['space_group_number']
        lattice = [float(block[f'_cell_length_{axis}']) for axis in 'abc']
        assert lattice == pytest.approx([minimum['lattice'][axis] for axis in 'abc'], rel=1e-3)


def test_other_programs_read_all_labels(search, folder):
    structures = read(folder / 'labels' / 'labels.extxyz', index=':')
    stored = [search.outputs[f'cycle_{cycle:02d}'].labels.frames for cycle in (0, 1)]
    assert len(structures) == sum(map(len, stored)) == 9
    energies = np.concatenate([frames.energy for frames in stored])
    told = [atoms.get_potential_energy() if atoms.calc else np.nan for atoms in structures]
    assert np.allclose(told, energies, equal_nan=True)
    usable = np.isfinite(energies).sum()
    assert len(read_frames(folder / 'labels' / 'deepmd', 'deepmd/npy')) == usable


def test_potentials_predict_outside_what_they_predicted_inside(search, folder):
    """The relaxed pool has the energies of the very ensemble that was written."""
    specifications = json.loads((folder / 'potentials' / 'potentials.json').read_text())
    assert list(specifications) == list(search.outputs.cycle_01.potentials)
    pool = search.outputs.cycle_01.pool.frames
    some = np.flatnonzero(pool.status == 'max_steps')[:3]
    found = load_ensemble(list(specifications.values()), folder / 'potentials').evaluate(pool.select(some))
    assert found.energy == pytest.approx(pool.energy[some], abs=1e-6)
    assert (folder / 'potentials' / 'potential_00' / 'potential.lmp').is_file()


def test_readme_names_everything_that_is_there(search, folder):
    words = (folder / 'README.txt').read_text()
    assert search.uuid in words
    for path in folder.iterdir():
        assert path.name == 'README.txt' or path.name in words


def test_what_a_failed_search_has_made_is_written(failed_search, tmp_path):
    names = {path.name for path in export_search(failed_search, tmp_path / 'failed')}
    assert names == {'labels', 'summary.json', 'README.txt', 'result.aiida'}


def test_what_has_not_begun_has_no_archive(begun_search, tmp_path):
    names = {path.name for path in export_search(begun_search, tmp_path / 'begun')}
    assert names == {'summary.json', 'README.txt'}
    with pytest.raises(ValueError, match='still runs'):
        export_search(begun_search, tmp_path / 'other', provenance=True)


def test_nothing_half_written_stays(failed_search, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise ArchiveExportError('the disk is full')

    command = ['export', str(failed_search.pk), str(tmp_path / 'result')]
    with monkeypatch.context() as patch:
        patch.setattr(archive, 'create_archive', refuse)
        with pytest.raises(click.ClickException, match='the disk is full'):
            cmd_root.main(command, prog_name='aiida-prospect', standalone_mode=False)
    assert list(tmp_path.iterdir()) == []
    cmd_root.main(command, prog_name='aiida-prospect', standalone_mode=False)
    assert [path.name for path in tmp_path.iterdir()] == ['result']


def test_nothing_is_overwritten(search, folder):
    with pytest.raises(FileExistsError, match='is not empty'):
        export_search(search, folder)


@pytest.mark.parametrize(('command', 'option'), [('report', ['-o']), ('export', []), ('show', ['--picture'])])
def test_results_that_cannot_be_written(search, tmp_path, command, option):
    (tmp_path / 'file').touch()
    path = tmp_path / 'file' / 'si.png'
    with pytest.raises(click.ClickException, match=f'`{path}` cannot be written: '):
        cmd_root.main([command, str(search.pk), *option, str(path)], prog_name='aiida-prospect', standalone_mode=False)
