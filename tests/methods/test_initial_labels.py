"""Tests for labelled data from files."""

from __future__ import annotations

from pathlib import Path

import ase.test
import numpy as np
import pytest

from aiida_prospect.common.units import stress_from_vasp
from aiida_prospect.methods.formats import write_frames
from aiida_prospect.methods.initial_labels import as_labels, check_elements, read_labels, read_settings

# A calculation of diamond under pressure that ASE ships with.
VASPRUN = Path(ase.test.__file__).parent / 'testdata' / 'vasp' / 'vasprun_pstress.xml'


@pytest.mark.parametrize('name', ['data.extxyz', 'data.db', 'data'])
def test_labels_come_back_from_every_format(generate_frames, tmp_path, name):
    frames = generate_frames('Si4', 5, labelled=True)
    write_frames(frames, tmp_path / name, None if '.' in name else 'deepmd/npy')
    labels = read_labels(tmp_path / name)
    assert labels.energy == pytest.approx(frames.energy)
    assert labels.forces == pytest.approx(frames.forces)
    assert labels.stress == pytest.approx(frames.stress)
    assert set(labels.status) == {'ok'}
    assert labels.origin.tolist() == frames.origin.tolist()
    assert read_settings(tmp_path / name) == {}


def test_frames_without_a_label_stay_and_say_so(generate_frames):
    frames = generate_frames('Si4', 3, labelled=True).without('status', 'origin')
    energy = frames.energy.copy()
    energy[1] = np.nan
    labels = as_labels(frames.replace(energy=energy, energy_spread=np.ones(3)), 'mine')
    assert labels.status.tolist() == ['ok', 'failed', 'ok']
    assert labels.reason[1]
    assert labels.origin.tolist() == ['mine-00000', 'mine-00001', 'mine-00002']
    assert labels.energy_spread is None


def test_data_without_any_label_are_refused(generate_frames, tmp_path):
    write_frames(generate_frames('Si4', 2), tmp_path / 'bare.extxyz')
    with pytest.raises(ValueError, match=r'bare\.extxyz: no frame has a label'):
        read_labels(tmp_path / 'bare.extxyz')


def test_other_elements_are_refused(generate_frames):
    with pytest.raises(ValueError, match=r'frames with Cl, the search is for Na'):
        check_elements(generate_frames('NaCl', 1), ['Na'])


def test_vasprun():
    labels = read_labels(VASPRUN)
    assert labels.formulas == ['C2']
    assert labels.status.tolist() == ['ok']
    # The file has −20.2399 eV with the work against the outer pressure of 1 kbar, which is no energy of the crystal.
    assert labels.energy[0] == pytest.approx(-20.23985977 - stress_from_vasp(-1.0) * labels.volumes[0], abs=1e-5)
    assert labels.stress[0] == pytest.approx(stress_from_vasp(-165.9956258 * np.eye(3)), rel=1e-5, abs=1e-9)
    settings = read_settings(VASPRUN)
    assert (settings['code'], settings['ecutwfc'], settings['spin']) == ('vasp', 400.0, 'none')
    assert settings['pseudopotentials'] == {'C': 'PAW C 22Mar2012'}
    assert (settings['smearing'], settings['degauss']) == ('methfessel-paxton', 0.2)


def test_electrons_that_ran_out_of_steps_give_no_label(tmp_path):
    text = VASPRUN.read_text()
    line = next(line for line in text.splitlines() if 'name="NELM"' in line)
    (tmp_path / 'vasprun.xml').write_text(text.replace(line, f'<i type="int" name="NELM">{text.count("<scstep>")}</i>'))
    with pytest.raises(ValueError, match='no frame has a label'):
        read_labels(tmp_path / 'vasprun.xml')


def test_a_vasprun_that_was_cut_off_is_refused(tmp_path):
    (tmp_path / 'vasprun.xml').write_text(VASPRUN.read_text()[:-2000])
    with pytest.raises(ValueError, match=r'vasprun\.xml'):
        read_labels(tmp_path / 'vasprun.xml')
