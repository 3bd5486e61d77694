"""Pictures of crystals: a block of unit cells, atoms as discs or balls, bonds as lines."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import spglib
from ase import Atoms
from ase.build import make_supercell
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors
from ase.neighborlist import natural_cutoffs, neighbor_list
from ase.utils import rotate
from matplotlib.axes import Axes
from matplotlib.patches import Circle

from aiida_prospect.common.frames import Frames

EDGE = 8.0
VIEW = '-78x,14y,3z'
RADII = 0.5
BOND = 1.15
SYMPREC = 0.1


def block_of(frame: Frames) -> tuple[Atoms, np.ndarray]:
    """Return so many conventional cells of a crystal that a picture shows how it goes on, and the (3, 3) cell, Å.

    :param frame: one frame; of a crystal that spglib cannot analyse the cell is taken as it is.
    """
    cell = _conventional(frame.to_atoms()[0])
    repeats = np.ceil(EDGE / cell.cell.lengths()).astype(int)
    block = make_supercell(cell, np.diag(repeats))
    block.pbc = False
    return block, cell.cell.array


def _conventional(atoms: Atoms) -> Atoms:
    found = spglib.standardize_cell((atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers), symprec=SYMPREC)
    if found is None:
        return atoms
    cell, scaled, numbers = found
    return Atoms(numbers=numbers, cell=cell, scaled_positions=scaled, pbc=True)


def bonds_of(block: Atoms) -> list[tuple[int, int]]:
    """Return the pairs of atoms that are no farther apart than the sum of their covalent radii, and 15 % more."""
    first, second = neighbor_list('ij', block, natural_cutoffs(block, mult=BOND))
    return [(int(i), int(j)) for i, j in zip(first, second, strict=True) if i < j]


def draw_crystal(axis: Axes, frame: Frames) -> None:
    """Draw a crystal, the far atoms first."""
    block, _ = block_of(frame)
    places = block.positions @ rotate(VIEW)
    for i, j in bonds_of(block):
        depth = (places[i, 2] + places[j, 2]) / 2
        axis.plot(*places[[i, j], :2].T, color='0.55', lw=1.5, zorder=depth)
    for place, number in zip(places, block.numbers, strict=True):
        radius = RADII * covalent_radii[number]
        axis.add_patch(Circle(place[:2], radius, fc=jmol_colors[number], ec='black', lw=0.7, zorder=place[2]))
    # Lines ask for it themselves, discs do not, and without bonds there are only discs.
    axis.autoscale_view()
    axis.set_aspect('equal')
    axis.set_axis_off()


def scene_of(frame: Frames) -> dict[str, Any]:
    """Return what a script needs to show a crystal from all sides, for JSON.

    :return: ``atoms``: x, y, z in Å, about the centre and turned as in the pictures, and the kind; ``kinds``: symbol,
        radius in Å, colour; ``bonds``: pairs of atoms; ``cell``: the edges of one unit cell as pairs of points.
    """
    block, cell = block_of(frame)
    turn = rotate(VIEW)
    kinds = sorted(set(block.numbers.tolist()))
    centre = block.positions.mean(axis=0)
    corners = np.array(list(product((0, 1), repeat=3)))
    edges = [(a, b) for a in range(8) for b in range(a) if np.sum(corners[a] != corners[b]) == 1]
    points = (corners @ cell - centre) @ turn
    return {
        'atoms': [
            [*(round(float(x), 3) for x in place), kinds.index(number)]
            for place, number in zip((block.positions - centre) @ turn, block.numbers.tolist(), strict=True)
        ],
        'kinds': [
            {
                'symbol': chemical_symbols[number],
                'radius': round(float(RADII * covalent_radii[number]), 3),
                'colour': '#' + ''.join(f'{round(255 * part):02x}' for part in jmol_colors[number]),
            }
            for number in kinds
        ],
        'bonds': [list(pair) for pair in bonds_of(block)],
        'cell': [[[round(float(x), 3) for x in points[end]] for end in edge] for edge in edges],
    }
