"""Find structures that no reference method needs to see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.pool.elements import elemental_volume

# The largest volume in units of the elements' own, in units of that in spheres of covalent radii.
ELEMENTS_PER_SPHERES = 0.2


@dataclass(frozen=True)
class Prechecks:
    """Thresholds; ``None`` switches one off.

    :param distance: shortest distance of two atoms, in units of the sum of their covalent radii. In diamond it is 1.05,
        in rock salt NaCl 1.05.
    :param distance_floor: shortest distance of any two atoms, Å.
    :param angle: smallest distance of an angle of the cell from 0° and from 180°, degrees.
    :param aspect: longest edge of the cell over the shortest.
    :param height: least distance of opposite faces of the cell, Å.
    :param volume_min: volume of the cell, in units of that of its atoms as spheres of their covalent radii. Of diamond
        it is 3.5, of fcc aluminium 2.2, of rock salt NaCl 1.9.
    :param volume_max: likewise; molecular crystals, whose atoms fill less, may have a fifth of it in units of the
        volumes of the solid or liquid elements.
    :raises ValueError: if a threshold is negative or the range of volumes is empty.
    """

    distance: float | None = 0.6
    distance_floor: float | None = 0.6
    angle: float | None = 20.0
    aspect: float | None = 8.0
    height: float | None = 1.5
    volume_min: float | None = 0.8
    volume_max: float | None = 15.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and not (isinstance(value, int | float) and value >= 0):
                raise ValueError(f'the threshold `{name}` is {value!r}, it must be a number that is not negative')
        if None not in (self.volume_min, self.volume_max) and not self.volume_min < self.volume_max:  # type: ignore[operator]
            raise ValueError(f'`volume_min` ({self.volume_min}) must be less than `volume_max` ({self.volume_max})')

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Prechecks:
        """Return the thresholds given, the default for those that are not.

        :raises ValueError: if one is unknown or wrong.
        """
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            known = ', '.join(field.name for field in fields(cls))
            raise ValueError(f'there are no thresholds {", ".join(unknown)}; choose among: {known}')
        return cls(**values)


def find_hopeless(frames: Frames, prechecks: Prechecks) -> dict[int, str]:
    """Return why a frame is to be rejected, by its index; those that pass are absent."""
    found: dict[int, str] = {}
    for index, atoms in enumerate(frames.to_atoms()):
        reason = _wrong_cell(atoms, prechecks) or _wrong_volume(atoms, prechecks) or _too_close(atoms, prechecks)
        if reason:
            found[index] = reason
    return found


def _wrong_cell(atoms: Atoms, limits: Prechecks) -> str | None:
    lengths, angles = atoms.cell.lengths(), atoms.cell.angles()
    if limits.angle is not None and not np.all((angles >= limits.angle) & (angles <= 180 - limits.angle)):
        shown = ', '.join(f'{angle:.0f}°' for angle in angles)
        return f'the angles of the cell are {shown}, allowed are {limits.angle:g}° to {180 - limits.angle:g}°'
    if limits.aspect is not None and lengths.max() > limits.aspect * lengths.min():
        ratio = lengths.max() / lengths.min()
        return f'the longest edge of the cell is {ratio:.1f} times the shortest, allowed is {limits.aspect:g}'
    if limits.height is not None:
        height = float(np.min(1 / np.linalg.norm(np.linalg.inv(atoms.cell.array), axis=0)))
        if height < limits.height:
            return f'the cell is only {height:.2f} Å high, at least {limits.height:g} Å are required'
    return None


def _wrong_volume(atoms: Atoms, limits: Prechecks) -> str | None:
    spheres = float(np.sum(4 / 3 * np.pi * covalent_radii[atoms.numbers] ** 3))
    ratio = atoms.get_volume() / spheres
    shown = f'the volume is {atoms.get_volume() / len(atoms):.1f} Å³ per atom, {ratio:.2f} times that of the atoms'
    if limits.volume_min is not None and ratio < limits.volume_min:
        return f'{shown}; at least {limits.volume_min:g} times is required'
    if limits.volume_max is not None and ratio > limits.volume_max and not _is_molecular(atoms, limits.volume_max):
        return f'{shown}; at most {limits.volume_max:g} times is allowed'
    return None


def _is_molecular(atoms: Atoms, volume_max: float) -> bool:
    """Tell whether a crystal is no wider than its elements allow, where these are known."""
    try:
        elements = sum(map(elemental_volume, atoms.symbols))
    except ValueError:
        return False
    return bool(atoms.get_volume() <= ELEMENTS_PER_SPHERES * volume_max * elements)


def _too_close(atoms: Atoms, limits: Prechecks) -> str | None:
    radii = covalent_radii[atoms.numbers]
    floor, fraction = limits.distance_floor or 0.0, limits.distance or 0.0
    first, second, distances = neighbor_list('ijd', atoms, max(floor, 2 * fraction * radii.max(), 1e-3))
    if not len(distances):
        return None
    allowed = np.maximum(floor, fraction * (radii[first] + radii[second]))
    worst = int(np.argmin(distances - allowed))
    if distances[worst] >= allowed[worst]:
        return None
    pair = '–'.join(sorted(atoms.symbols[k] for k in (first[worst], second[worst])))
    return f'{pair} are {distances[worst]:.2f} Å apart, at least {allowed[worst]:.2f} Å are required'
