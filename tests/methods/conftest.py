"""Crystals that the tests of the methods share."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal


@pytest.fixture(scope='session')
def silicon_phases() -> dict[str, Atoms]:
    """Return phases of silicon near their lattice constants."""
    hexagonal = [3.84, 3.84, 6.28, 90, 90, 120]
    return {
        'diamond': bulk('Si', 'diamond', a=5.43),
        'lonsdaleite': crystal('Si', [(1 / 3, 2 / 3, 0.0625)], spacegroup=194, cellpar=hexagonal),
        '4H': crystal(
            ['Si', 'Si'],
            [(0, 0, 0.09375), (1 / 3, 2 / 3, 0.15625)],
            spacegroup=194,
            cellpar=[3.84, 3.84, 12.56, 90, 90, 120],
        ),
        'beta-tin': crystal('Si', [(0, 0, 0)], spacegroup=141, cellpar=[4.82, 4.82, 2.65, 90, 90, 90]),
        'simple hexagonal': Atoms('Si', cell=[[2.64, 0, 0], [-1.32, 2.286, 0], [0, 0, 2.48]], pbc=True),
        'bcc': bulk('Si', 'bcc', a=3.08),
        'fcc': bulk('Si', 'fcc', a=3.87),
        'hcp': bulk('Si', 'hcp', a=2.73, c=4.46),
        'simple cubic': bulk('Si', 'sc', a=2.53),
        'BC8': crystal('Si', [(0.1003,) * 3], spacegroup=206, cellpar=[6.64] * 3 + [90] * 3),
        'ST12': crystal(
            ['Si', 'Si'],
            [(0.09, 0.09, 0), (0.17, 0.38, 0.25)],
            spacegroup=96,
            cellpar=[5.69, 5.69, 6.8, 90, 90, 90],
        ),
    }


@pytest.fixture(scope='session')
def salts() -> dict[str, Atoms]:
    """Return structures of NaCl near their lattice constants."""
    return {
        'rock salt': bulk('NaCl', 'rocksalt', a=5.64),
        'CsCl': bulk('NaCl', 'cesiumchloride', a=3.45),
        'zinc blende': bulk('NaCl', 'zincblende', a=6.1),
        'wurtzite': bulk('NaCl', 'wurtzite', a=4.3, c=7.02),
    }


@pytest.fixture(scope='session')
def written_differently():
    """Return a function that writes a crystal in another way: supercell, lattice vectors, rotation, origin, order."""

    def rewrite(atoms: Atoms, rng: np.random.Generator, repeat: tuple[int, int, int] = (2, 1, 1)) -> Atoms:
        other = atoms.repeat(repeat)
        other.set_cell(np.array([[1, 1, 0], [0, 1, 0], [0, -1, 1]]) @ other.cell.array)
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        positions = (other.positions + rng.uniform(0, 5, 3)) @ turn
        other = Atoms(other.numbers, cell=other.cell.array @ turn, positions=positions, pbc=True)
        other.wrap()
        return other[rng.permutation(len(other))]

    return rewrite
