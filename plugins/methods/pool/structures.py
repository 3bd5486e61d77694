"""Structures that a user brings along."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from ase.io import read
from ase.io.formats import UnknownFileTypeError

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.pool.composition import format_composition, reduce_composition
from aiida_prospect.methods.pool.makers import Crystal


def read_structures(paths: Iterable[Path | str]) -> Frames:
    """Read crystals from files of any format that ASE knows (CIF, POSCAR, extended XYZ, …), all of each file.

    :raises ValueError: if a file is missing or unreadable, or a structure is not periodic or has partly occupied sites.
    """
    structures = []
    for path in map(Path, paths):
        try:
            found = read(path, index=':')
        except FileNotFoundError as error:
            raise ValueError(f'the structure file `{path}` does not exist') from error
        except (UnknownFileTypeError, ValueError, KeyError, IndexError, AssertionError, RuntimeError) as error:
            raise ValueError(
                f'`{path}` holds no structure that ASE can read ({error}): give CIF, POSCAR or extended XYZ'
            ) from error
        if not found:
            raise ValueError(f'`{path}` holds no structure: give CIF, POSCAR or extended XYZ')
        for atoms in found:
            _check_atoms(atoms, path)
        structures += found
    return Frames.from_atoms(structures)


def _check_atoms(atoms: Atoms, path: Path) -> None:
    if atoms.cell.rank < 3 or not len(atoms):
        raise ValueError(f'`{path}` holds a structure without three lattice vectors or without atoms: give a crystal')
    check_order(atoms, path)


def check_order(atoms: Atoms, path: Path) -> None:
    """Refuse a crystal with partly occupied sites: ASE takes one of the elements for the whole site.

    :raises ValueError: if it has some.
    """
    occupancies = [share for site in atoms.info.get('occupancy', {}).values() for share in site.values()]
    if any(share < 1 for share in occupancies):
        raise ValueError(f'`{path}` has partly occupied sites: give an ordered structure')


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
