import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.pool.structures import read_crystal


def test_files_of_any_format_are_read(tmp_path):
    diamond, salt = bulk('Si', cubic=True), bulk('NaCl', 'rocksalt', a=5.64)
    write(tmp_path / 'POSCAR', diamond, format='vasp')
    write(tmp_path / 'salt.cif', salt)
    write(tmp_path / 'both.extxyz', [salt, diamond])
    frames = Frames.from_atoms([read_crystal(tmp_path / name) for name in ('POSCAR', 'salt.cif', 'both.extxyz')])
    assert frames.formulas == ['Si8', 'ClNa', 'Si8']
    assert frames[2].equals(Frames.from_atoms([diamond]))


PARTIAL = """data_alloy
_cell_length_a 4
_cell_length_b 4
_cell_length_c 4
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'P 1'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_occupancy
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Si1 Si 0.5 0 0 0
Ge1 Ge 0.5 0 0 0
"""


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('alloy.cif', PARTIAL, 'partly occupied'),
        ('broken.cif', 'data_nothing\n', 'cannot be read as a crystal'),
        ('notes.txt', 'hello\n', 'cannot be read as a crystal'),
    ],
)
def test_file_that_is_no_crystal_is_refused_by_name(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        read_crystal(tmp_path / name)


def test_missing_file_and_molecule_are_refused(tmp_path):
    with pytest.raises(ValueError, match='No such file'):
        read_crystal(tmp_path / 'nothing.cif')
    write(tmp_path / 'water.xyz', Atoms('H2O', [[0, 0, 0], [0, 0, 1], [0, 1, 0]]))
    with pytest.raises(ValueError, match='give a crystal'):
        read_crystal(tmp_path / 'water.xyz')
