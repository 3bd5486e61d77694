"""Structures that a user brings along."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from ase.io import read

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.pool.composition import format_composition, reduce_composition
from aiida_prospect.methods.pool.makers import Crystal


def read_crystal(path: Path) -> Atoms:
    """Read a crystal from a file of any format that ASE knows, the last one if there are several.

    :raises ValueError: if the file holds none, or one that is not periodic or has partly occupied sites, of which ASE
        takes one of the elements for the whole site.
    """
    try:
        atoms = read(path)
    # The readers of ASE raise whatever comes of taking a file for what it is not, `AssertionError` for a CIF among it.
    except Exception as error:
        cause = ' '.join(str(error).split()) or type(error).__name__
        raise ValueError(f'{path} cannot be read as a crystal structure: {cause}') from error
    if not all(atoms.pbc) or atoms.cell.rank < 3:
        raise ValueError(f'{path} is not periodic in all directions: give a crystal with its cell, as CIF or POSCAR')
    occupancies = [share for site in atoms.info.get('occupancy', {}).values() for share in site.values()]
    if any(share < 1 for share in occupancies):
        raise ValueError(f'`{path}` has partly occupied sites: give an ordered structure')
    return atoms


def check_own(own: Frames, composition: Mapping[str, int]) -> None:
    """Check that structures are of a composition, in any number of formula units.

    :raises ValueError: with the first one that is not.
    """
    asked = reduce_composition(composition)
    for index, crystal in enumerate(to_crystals(own)):
        numbers, counts = np.unique(crystal.numbers, return_counts=True)
        found = {chemical_symbols[number]: int(count) for number, count in zip(numbers, counts, strict=True)}
        if reduce_composition(found) != asked:
            raise ValueError(
                f'own structure {index} is {format_composition(found)}, which is no multiple of '
                f'{format_composition(composition)}: leave it out or change the formula'
            )


def to_crystals(frames: Frames) -> list[Crystal]:
    """Return frames with fractional positions."""
    pieces = np.split(np.arange(len(frames.numbers)), frames.offsets[1:-1]) if len(frames) else []
    return [
        Crystal(frames.numbers[atoms], cell, frames.positions[atoms] @ np.linalg.inv(cell))
        for atoms, cell in zip(pieces, frames.cells, strict=True)
    ]
