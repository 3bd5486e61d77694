"""Tests of what is refused before the reference method sees it."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.prechecks import Prechecks, find_hopeless

DIAMOND = bulk('Si', 'diamond', a=5.43)
CORUNDUM = crystal(
    ['Al', 'O'],
    [(0, 0, 0.3522), (0.3063, 0, 0.25)],
    spacegroup=167,
    cellpar=[4.759, 4.759, 12.991, 90, 90, 120],
    primitive_cell=True,
)
# Methane, as it freezes: molecules on an fcc lattice.
METHANE = Atoms(
    'CH4',
    positions=0.63 * np.array([[0, 0, 0], [1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]),
    cell=bulk('C', 'fcc', a=5.89).cell,
    pbc=True,
)
CRYSTALS = [
    METHANE,
    DIAMOND,
    bulk('Al', 'fcc', a=4.05),
    bulk('Na', 'bcc', a=4.29),
    bulk('NaCl', 'rocksalt', a=5.64),
    bulk('GaAs', 'zincblende', a=5.65),
    bulk('C', 'diamond', a=3.57),
    bulk('MgO', 'rocksalt', a=4.21),
    CORUNDUM,
]


@pytest.mark.parametrize('atoms', CRYSTALS, ids=str)
@pytest.mark.parametrize('scale', [0.93, 1.0, 1.08])
def test_real_crystals_pass(atoms, scale):
    scaled = atoms.copy()
    scaled.set_cell(atoms.cell * scale, scale_atoms=True)
    assert find_hopeless(Frames.from_atoms([scaled]), Prechecks()) == {}


def cell(a, b, c, alpha, beta, gamma):
    atoms = DIAMOND.copy()
    atoms.set_cell([a, b, c, alpha, beta, gamma], scale_atoms=True)
    return atoms


def close_pair(distance):
    atoms = bulk('Si', 'diamond', a=5.43, cubic=True)
    atoms.positions[1] = atoms.positions[0] + [0, 0, distance]
    return atoms


@pytest.mark.parametrize(
    ('atoms', 'rule', 'words'),
    [
        (close_pair(1.2), 'distance', 'Si–Si are 1.20 Å apart'),
        (close_pair(0.5), 'distance_floor', '0.50 Å apart'),
        (cell(6, 6, 4, 90, 90, 17), 'angle', 'angles'),
        (cell(30, 3, 3, 90, 90, 90), 'aspect', '10.0 times'),
        (cell(9, 9, 1.4, 90, 90, 90), 'height', '1.40 Å high'),
        (cell(2, 2, 2, 90, 90, 90), 'volume_min', '4.0 Å³ per atom'),
        (cell(20, 20, 20, 90, 90, 90), 'volume_max', '4000.0 Å³ per atom'),
    ],
)
def test_each_rule_rejects_alone_and_says_why(atoms, rule, words):
    frames = Frames.from_atoms([DIAMOND, atoms])
    off = dict.fromkeys((field for field in Prechecks.__dataclass_fields__), None)
    assert find_hopeless(frames, Prechecks(**off)) == {}
    found = find_hopeless(frames, Prechecks(**{**off, rule: getattr(Prechecks(), rule)}))
    assert list(found) == [1]
    assert words in found[1]
    assert 1 in find_hopeless(frames, Prechecks())


def test_atom_close_to_its_own_image_is_rejected():
    chain = Atoms('Si', cell=[1.1, 8.0, 8.0], pbc=True)
    limits = Prechecks(height=None, volume_min=None, aspect=None)
    assert 'Si–Si are 1.10 Å apart' in find_hopeless(Frames.from_atoms([chain]), limits)[0]


def test_verdict_does_not_change_under_rotation_or_choice_of_supercell(generate_frames):
    rng = np.random.default_rng(1)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    limits = Prechecks(aspect=None)
    for atoms in generate_frames('Si8', 20, volume=5.0).to_atoms():
        rotated = Atoms(atoms.numbers, cell=atoms.cell.array @ rotation, positions=atoms.positions @ rotation, pbc=True)
        verdicts = find_hopeless(Frames.from_atoms([atoms, rotated, atoms.repeat((2, 1, 1))]), limits)
        assert len(verdicts) in (0, 3)


@pytest.mark.parametrize('values', [{'distence': 1.0}, {'distance': -1.0}, {'height': 'tall'}, {'volume_min': 20}])
def test_wrong_thresholds_are_refused(values):
    with pytest.raises(ValueError, match=next(iter(values))):
        Prechecks.from_mapping(values)
