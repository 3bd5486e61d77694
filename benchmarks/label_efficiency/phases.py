"""Known crystal structures, from their space groups; lattice parameters in Å are starting points of relaxations."""

from __future__ import annotations

from collections.abc import Callable

from ase import Atoms
from ase.spacegroup import crystal

Phases = dict[str, Callable[[], Atoms]]


def _crystal(
    symbols: str, sites: list[tuple[float, float, float]], group: int, lengths: tuple[float, ...], **angles: float
) -> Callable[[], Atoms]:
    """Return what makes a primitive cell.

    :param symbols: of the sites, with blanks between.
    :param lengths: one of a cubic crystal, two of a hexagonal or tetragonal one, else three.
    :param angles: `gamma` or `beta` if not 90°.
    """
    a, b, c = {1: lengths * 3, 2: (lengths[0], *lengths), 3: lengths}[len(lengths)]
    cell = [a, b, c, 90, angles.get('beta', 90), angles.get('gamma', 90)]
    return lambda: crystal(symbols.split(), sites, spacegroup=group, cellpar=cell, primitive_cell=True)


SILICON: Phases = {
    'diamond': _crystal('Si', [(0, 0, 0)], 227, (5.43,)),
    'lonsdaleite': _crystal('Si', [(1 / 3, 2 / 3, 0.0625)], 194, (3.84, 6.33), gamma=120),
    'beta-tin': _crystal('Si', [(0, 0, 0)], 141, (4.81, 2.65)),
    'BC8': _crystal('Si', [(0.1, 0.1, 0.1)], 206, (6.64,)),
    'clathrate I': _crystal('Si Si Si', [(0.25, 0, 0.5), (0.1837, 0.1837, 0.1837), (0, 0.3077, 0.1173)], 223, (10.2,)),
    'simple hexagonal': _crystal('Si', [(0, 0, 0)], 191, (2.64, 2.48), gamma=120),
    'simple cubic': _crystal('Si', [(0, 0, 0)], 221, (2.53,)),
    'bcc': _crystal('Si', [(0, 0, 0)], 229, (3.09,)),
    'fcc': _crystal('Si', [(0, 0, 0)], 225, (3.88,)),
    'hcp': _crystal('Si', [(1 / 3, 2 / 3, 0.25)], 194, (2.74, 4.47), gamma=120),
}


def binary(first: str, second: str, bond: float) -> Phases:
    """Return the common structures of compounds of one to one.

    :param bond: the nearest distance of unlike atoms, Å; it sets the size of all of them.
    """
    both, edge = f'{first} {second}', 4 * bond / 3**0.5
    ideal = (8 / 3) ** 0.5
    side = edge / 2**0.5
    nickel_arsenide = 2**0.5 * bond
    return {
        'rock salt': _crystal(both, [(0, 0, 0), (0.5, 0.5, 0.5)], 225, (2 * bond,)),
        'caesium chloride': _crystal(both, [(0, 0, 0), (0.5, 0.5, 0.5)], 221, (2 * bond / 3**0.5,)),
        'zinc blende': _crystal(both, [(0, 0, 0), (0.25, 0.25, 0.25)], 216, (edge,)),
        'wurtzite': _crystal(both, [(1 / 3, 2 / 3, 0), (1 / 3, 2 / 3, 0.375)], 186, (side, side * ideal), gamma=120),
        'nickel arsenide': _crystal(
            both, [(0, 0, 0), (1 / 3, 2 / 3, 0.25)], 194, (nickel_arsenide, nickel_arsenide * ideal), gamma=120
        ),
    }


ALUMINA: Phases = {
    'corundum': _crystal('Al O', [(0, 0, 0.352), (0.306, 0, 0.25)], 167, (4.76, 12.99), gamma=120),
    'bixbyite': _crystal('Al Al O', [(0.25, 0.25, 0.25), (0.97, 0, 0.25), (0.39, 0.154, 0.381)], 206, (9.1,)),
    'Rh2O3-II': _crystal(
        'Al O O', [(0.1058, 0.2498, 0.0338), (0.8494, 0.6036, 0.1161), (0, 0.0505, 0.25)], 60, (6.6, 4.7, 4.9)
    ),
    'theta': _crystal(
        'Al Al O O O',
        [(0.09, 0, 0.795), (0.342, 0, 0.686), (0.161, 0, 0.109), (0.495, 0, 0.257), (0.827, 0, 0.427)],
        12,
        (11.85, 2.90, 5.62),
        beta=103.8,
    ),
    'lanthana': _crystal(
        'Al O O', [(1 / 3, 2 / 3, 0.245), (1 / 3, 2 / 3, 0.645), (0, 0, 0)], 164, (3.2, 5.0), gamma=120
    ),
}
