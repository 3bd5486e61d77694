"""Random cells that a space group allows."""

from __future__ import annotations

from math import acos, cos, degrees, radians, sin, sqrt

import numpy as np
import spglib

from aiida_prospect.common.enums import Choice
from aiida_prospect.common.frames import FloatArray
from aiida_prospect.methods.pool.recipe import Recipe, Refused
from aiida_prospect.methods.relaxation.sanity import heights

# Width of the logarithm of the edges, as in PyXtal: two thirds of the ratios of two edges are below 1.6.
EDGE_WIDTH = 0.35
# Volume of the flattest cell with edges of length 1; a flatter one has edges that are too long for its volume.
FLATTEST = 0.35
ANGLE_TOLERANCE = 1e-6


class CrystalSystem(Choice):
    """Shape of the conventional cell; trigonal groups are taken in hexagonal axes."""

    TRICLINIC = 'triclinic'
    MONOCLINIC = 'monoclinic'
    ORTHORHOMBIC = 'orthorhombic'
    TETRAGONAL = 'tetragonal'
    HEXAGONAL = 'hexagonal'
    CUBIC = 'cubic'


_LAST_GROUP = dict(zip((2, 15, 74, 142, 194, 230), CrystalSystem, strict=True))


def crystal_system(space_group: int) -> CrystalSystem:
    """Return the system of a space group (1 to 230)."""
    return next(system for last, system in _LAST_GROUP.items() if space_group <= last)


def random_cell(
    system: CrystalSystem, volume: float, angles: tuple[float, float], rng: np.random.Generator
) -> FloatArray:
    """Return a conventional cell, unique axis b.

    Free edges have log-normal ratios, free angles are uniform.

    :param volume: Å³.
    :param angles: smallest and largest free angle, degrees.
    :return: (3, 3), first row along x, second in the plane of x and y, Å.
    :raises Refused: if only flat cells have such angles.
    """
    a, b, c = np.exp(rng.normal(scale=EDGE_WIDTH, size=3))
    alpha = beta = gamma = 90.0
    match system:
        case CrystalSystem.TRICLINIC:
            alpha, beta, gamma = _random_angles(angles, rng)
        case CrystalSystem.MONOCLINIC:
            beta = rng.uniform(*angles)
        case CrystalSystem.TETRAGONAL:
            a = b
        case CrystalSystem.HEXAGONAL:
            a, gamma = b, 120.0
        case CrystalSystem.CUBIC:
            a = b = c
    x, y, z = (0.0 if angle == 90 else cos(radians(angle)) for angle in (alpha, beta, gamma))
    sine = sin(radians(gamma))
    tilt = (x - y * z) / sine
    cell = np.array([[a, 0.0, 0.0], [b * z, b * sine, 0.0], [c * y, c * tilt, c * sqrt(1 - y**2 - tilt**2)]])
    return cell * np.cbrt(volume / np.linalg.det(cell))


def _random_angles(angles: tuple[float, float], rng: np.random.Generator) -> FloatArray:
    for _ in range(50):
        drawn = rng.uniform(*angles, size=3)
        x, y, z = np.cos(np.radians(drawn))
        if 1 - x**2 - y**2 - z**2 + 2 * x * y * z > FLATTEST**2:
            return drawn
    raise Refused('cell angle')


def reduce_cell(cell: FloatArray) -> FloatArray:
    """Return Niggli's cell of the same lattice, in the same orientation."""
    reduced = spglib.niggli_reduce(cell)
    return cell if reduced is None else np.asarray(reduced)


def unskewed(cells: FloatArray) -> FloatArray:
    """Return (n, 3, 3) cells with Niggli's in place of those that are flatter: a relaxation takes those for collapsed.

    The atoms may stay where they are.
    """
    reduced = np.array([reduce_cell(cell) for cell in cells]).reshape(-1, 3, 3)
    flatter = heights(cells) < (1 - ANGLE_TOLERANCE) * heights(reduced)
    return np.where(flatter[:, None, None], reduced, cells)


def check_cell(cell: FloatArray, recipe: Recipe) -> None:
    """Refuse cells that are outside of the limits.

    :raises Refused: with `cell length`, `cell angle` or `volume`.
    """
    lengths = np.linalg.norm(cell, axis=1)
    if lengths.min() < recipe.lengths[0] or lengths.max() > recipe.lengths[1]:
        raise Refused('cell length')
    for i, j in ((0, 1), (0, 2), (1, 2)):
        angle = degrees(acos(float(cell[i] @ cell[j]) / (lengths[i] * lengths[j])))
        if not recipe.angles[0] - ANGLE_TOLERANCE <= angle <= recipe.angles[1] + ANGLE_TOLERANCE:
            raise Refused('cell angle')
    volume = abs(np.linalg.det(cell))
    if not recipe.volume[0] * (1 - 1e-9) <= volume <= recipe.volume[1] * (1 + 1e-9):
        raise Refused('volume')
