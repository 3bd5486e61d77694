"""Whether two crystals are the same, and the symmetry of one.

Crystals are compared by pymatgen's StructureMatcher (Ong et al., Comput. Mater. Sci. 68, 314 (2013)), which sees no
difference between orientations, origins, mirror images and choices of the cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from math import gcd
from typing import Any

import numpy as np
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Structure
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.cif import CifWriter
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer, SymmetryUndeterminedError

from aiida_prospect.common.frames import Frames

LATTICE = ('a', 'b', 'c', 'alpha', 'beta', 'gamma')


@dataclass(frozen=True)
class MatchSettings:
    """When two crystals are the same.

    :param symprec: tolerance of atomic positions within which symmetry is seen, Å.
    :param ltol: relative difference of lattice lengths that is still tried.
    :param stol: root mean square displacement of atoms that counts as the same, in units of (volume per atom)^(1/3).
    :param angle_tol: difference of lattice angles that is still tried, degrees.
    :param volume_tolerance: relative difference of volumes per atom; within it crystals are scaled to the same volume.
    :param reference_volume_tolerance: the same for references, which may come from another method.
    :param strain_tolerance: relative change of a conventional lattice length, besides that of the volume, and change of
        an angle in radians, by which a crystal may differ from a reference.
    :param energy_tolerance: difference of energies of the same crystal, eV/atom.
    """

    symprec: float = 0.1
    ltol: float = 0.1
    stol: float = 0.1
    angle_tol: float = 5.0
    volume_tolerance: float = 0.1
    reference_volume_tolerance: float = 0.2
    strain_tolerance: float = 0.05
    energy_tolerance: float = 0.01

    def __post_init__(self) -> None:
        bad = {name: value for name, value in vars(self).items() if not value > 0}
        if bad:
            raise ValueError(f'tolerances must be positive, got {bad}')

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MatchSettings:
        """Make settings of some values.

        :raises ValueError: if one has an unknown name.
        """
        unknown = set(values) - set(cls.__dataclass_fields__)
        if unknown:
            known = ', '.join(cls.__dataclass_fields__)
            raise ValueError(f'unknown setting: {", ".join(sorted(unknown))}; there are: {known}')
        return cls(**{name: float(value) for name, value in values.items()})

    def matcher(self, *, primitive_cell: bool) -> StructureMatcher:
        """Return a matcher that reduces both crystals to primitive cells, or one that looks for supercells."""
        return StructureMatcher(
            ltol=self.ltol,
            stol=self.stol,
            angle_tol=self.angle_tol,
            primitive_cell=primitive_cell,
            scale=True,
            attempt_supercell=not primitive_cell,
        )


@dataclass(frozen=True)
class Symmetry:
    """Space group of a crystal and its conventional cell.

    :param number: of the space group, 1 where none could be determined.
    :param symbol: international.
    :param lattice: lengths in Å and angles in degrees of the conventional cell.
    """

    number: int
    symbol: str
    lattice: dict[str, float]


def structure_of(frame: Frames) -> Structure:
    """Return the only frame of a set as a structure of pymatgen.

    :raises ValueError: if there is not exactly one.
    """
    if len(frame) != 1:
        raise ValueError(f'expected one frame, got {len(frame)}')
    return AseAtomsAdaptor.get_structure(frame.to_atoms()[0])


def reduced_composition(numbers: np.ndarray) -> tuple[tuple[int, int], ...]:
    """Return atomic numbers and their counts in one formula unit."""
    species, counts = np.unique(numbers, return_counts=True)
    units = formula_units(numbers)
    return tuple((int(number), int(count) // units) for number, count in zip(species, counts, strict=True))


def formula_units(numbers: np.ndarray) -> int:
    """Return how many formula units the atoms are."""
    return reduce(gcd, np.unique(numbers, return_counts=True)[1].tolist())


def symmetry(structure: Structure, symprec: float) -> Symmetry:
    """Determine the space group with spglib; of a crystal that spglib cannot analyse, return P1 and the cell as it is.

    :param symprec: Å.
    """
    try:
        analyzer = SpacegroupAnalyzer(structure, symprec=symprec)
        conventional = analyzer.get_conventional_standard_structure()
    except (SymmetryUndeterminedError, ValueError, TypeError):
        return Symmetry(1, 'P1', _lattice(structure))
    return Symmetry(analyzer.get_space_group_number(), analyzer.get_space_group_symbol(), _lattice(conventional))


def cif_text(structure: Structure, symprec: float) -> str:
    """Return the conventional cell of a crystal as a CIF with its space group, atoms moved to where symmetry has them.

    :param symprec: Å; of a crystal that spglib cannot analyse, the cell as it is in P1.
    """
    try:
        return str(CifWriter(structure, symprec=symprec))
    except (SymmetryUndeterminedError, ValueError, TypeError):
        return str(CifWriter(structure))


def _lattice(structure: Structure) -> dict[str, float]:
    return {name: float(value) for name, value in zip(LATTICE, structure.lattice.parameters, strict=True)}


def _primitive(structure: Structure, symprec: float) -> Structure:
    try:
        return SpacegroupAnalyzer(structure, symprec=symprec).find_primitive() or structure
    except (SymmetryUndeterminedError, TypeError):
        return structure


def displacement(one: Structure, other: Structure, settings: MatchSettings) -> float | None:
    """Return how far the atoms of two crystals lie apart when one is laid upon the other.

    :return: root mean square in Å at the mean volume of both; ``None`` if they are not the same crystal.
    """
    for matcher, first, second in _attempts(one, other, settings):
        found = matcher.get_rms_dist(first, second)
        if found is not None:
            volumes = one.volume / len(one) * other.volume / len(other)
            return float(found[0] * volumes ** (1 / 6))
    return None


def _attempts(
    one: Structure, other: Structure, settings: MatchSettings
) -> Iterator[tuple[StructureMatcher, Structure, Structure]]:
    yield settings.matcher(primitive_cell=True), one, other
    # The matcher finds no primitive cell in a supercell whose atoms are a little off their places; spglib does.
    for symprec in (settings.symprec, 2 * settings.symprec):
        first, second = _primitive(one, symprec), _primitive(other, symprec)
        if len(first) > len(second):
            first, second = second, first
        if len(second) % len(first) == 0:
            yield settings.matcher(primitive_cell=False), second, first


def lattice_deviation(structure: Structure, reference: Structure, settings: MatchSettings) -> dict[str, float] | None:
    """Compare lattice parameters with those of a crystal that it matches, in the conventional cell of the latter.

    :return: deviations of ``a``, ``b``, ``c`` in %, of ``alpha``, ``beta``, ``gamma`` in degrees; or ``None`` if the
        cell cannot be laid upon that of the reference.
    """
    try:
        conventional = SpacegroupAnalyzer(reference, symprec=settings.symprec).get_conventional_standard_structure()
    except (SymmetryUndeterminedError, TypeError):
        conventional = reference
    primitive = _primitive(structure, settings.symprec)
    if len(primitive) > len(conventional):
        return None
    like = settings.matcher(primitive_cell=False).get_s2_like_s1(conventional, primitive)
    if like is None:
        return None
    mine, theirs = _lattice(like), _lattice(conventional)
    lengths = {name: 100 * (mine[name] / theirs[name] - 1) for name in LATTICE[:3]}
    return lengths | {name: mine[name] - theirs[name] for name in LATTICE[3:]}


def _is_strained(deviation: Mapping[str, float] | None, volume_ratio: float, tolerance: float) -> bool:
    # The matcher does not count strain: to it, a lattice of one atom per cell is the same at any ratio of its axes.
    if deviation is None:
        return False
    stretches = [(1 + deviation[name] / 100) / volume_ratio ** (1 / 3) - 1 for name in LATTICE[:3]]
    shears = [np.radians(deviation[name]) for name in LATTICE[3:]]
    return bool(np.max(np.abs([*stretches, *shears])) > tolerance)


def compare_with_references(
    frame: Frames, references: Mapping[str, Frames], settings: MatchSettings | None = None
) -> list[dict[str, Any]]:
    """Tell which references a crystal is the same as.

    :param frame: one frame.
    :param references: one frame each, by name.
    :return: for each match ``name``, ``rms_displacement`` (Å), ``volume_deviation`` (%) and ``lattice_deviation`` (see
        :func:`lattice_deviation`); the nearest first.
    :raises ValueError: if ``frame`` or a reference is not one frame.
    """
    settings = settings or MatchSettings()
    structure = structure_of(frame)
    composition, volume = reduced_composition(frame.numbers), structure.volume / len(structure)
    matches = []
    for name, reference in references.items():
        other = structure_of(reference)
        ratio = volume / (other.volume / len(other))
        if reduced_composition(reference.numbers) != composition:
            continue
        if abs(np.log(ratio)) > np.log1p(settings.reference_volume_tolerance):
            continue
        rms = displacement(other, structure, settings)
        deviation = None if rms is None else lattice_deviation(structure, other, settings)
        if rms is not None and not _is_strained(deviation, ratio, settings.strain_tolerance):
            match = {'name': name, 'rms_displacement': rms, 'volume_deviation': 100 * (ratio - 1)}
            matches.append({**match, 'lattice_deviation': deviation})
    return sorted(matches, key=lambda match: (match['rms_displacement'], match['name']))
