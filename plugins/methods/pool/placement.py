"""Atoms at random points, copied by symmetry operations, each far enough from all others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from aiida_prospect.common.frames import FloatArray, IntArray
from aiida_prospect.methods.pool.distances import image_shifts, separations, shortest_translation
from aiida_prospect.methods.pool.recipe import Recipe, Refused

# Points that are tried for one site, in batches because most sites need few, and sites that are tried for one orbit.
N_POINTS = 48
BATCH = 12
MAX_SITES = 4
# Share of orbits in general positions, among those where special ones would fit as well.
GENERAL_SHARE = 0.8
MAX_ELEMENTS = 30
SAME_POINT = 1e-6

# Of the element (index) of which so many atoms are missing, return (n_points, n_atoms, 3) fractional coordinates:
# orbits of random points, none with more atoms than are missing.
Draw = Callable[[int, int], FloatArray]


def place_atoms(cell: FloatArray, recipe: Recipe, draw: Draw) -> FloatArray:
    """Fill a cell with the atoms of a recipe.

    :param cell: (3, 3), with the symmetry of the orbits, Å.
    :param draw: see :data:`Draw`; asked again if all orbits that it gave are too near to others.
    :return: (n_atoms, 3), fractional, in the order of :attr:`Recipe.kinds`.
    :raises Refused: with the pair of elements that came too near, or what ``draw`` refuses.
    """
    limits = recipe.distances
    reach = float(limits.max())
    shifts = image_shifts(cell, reach)
    nearest_image = shortest_translation(cell, reach)
    placed: FloatArray = np.empty((0, 3))
    kinds: IntArray = np.empty(0, dtype=np.int64)
    for kind in placing_order(recipe):
        if nearest_image < limits[kind, kind]:
            raise Refused(f'distance {recipe.pair(kind, kind)}')
        missing = int(np.count_nonzero(recipe.kinds == kind))
        while missing:
            for _ in range(MAX_SITES):
                free, nearest = _free_orbit(draw(kind, missing), placed, limits[kind], kind, kinds, cell, shifts)
                if free is not None:
                    break
            else:
                raise Refused(f'distance {recipe.pair(kind, nearest)}')
            placed = np.concatenate([placed, free])
            kinds = np.concatenate([kinds, np.full(len(free), kind)])
            missing -= len(free)
    placed = placed[np.argsort(kinds, kind='stable')]
    return placed - np.floor(placed)


def placing_order(recipe: Recipe) -> list[int]:
    """Return the elements as they are placed: the one that needs most room goes first."""
    return [int(kind) for kind in np.argsort(-np.diag(recipe.distances), kind='stable')]


def _free_orbit(
    orbits: FloatArray,
    placed: FloatArray,
    limits: FloatArray,
    kind: int,
    kinds: IntArray,
    cell: FloatArray,
    shifts: FloatArray,
) -> tuple[FloatArray | None, int]:
    """Return the first orbit that is far enough from what is placed; else the element that it came too near to.

    :param orbits: (n_orbits, n_atoms, 3), fractional.
    :param limits: (n_elements,), smallest distances to the atoms of the orbit.
    """
    neighbours = np.concatenate([np.full(orbits.shape[1] - 1, kind), kinds])
    if not len(neighbours):
        return orbits[0], kind
    for batch in np.split(orbits, range(BATCH, len(orbits), BATCH)):
        others = np.concatenate([batch[:, 1:], np.broadcast_to(placed, (len(batch), *placed.shape))], axis=1)
        slack = separations(batch[:, :1], others, cell, shifts)[:, 0] - limits[neighbours]
        free = np.flatnonzero(np.all(slack >= 0, axis=1))
        if len(free):
            return batch[free[0]], kind
    return None, int(neighbours[np.argmin(slack[-1])])


def random_orbits(rotations: IntArray, translations: FloatArray, missing: int, rng: np.random.Generator) -> FloatArray:
    """Return the orbits of random points, all in general or all in the same special positions.

    :param rotations: (n_operations, 3, 3), see :class:`~aiida_prospect.methods.pool.spacegroups.SpaceGroup`.
    :param translations: (n_operations, 3).
    :param missing: largest number of atoms in an orbit.
    :return: (n_points, n_atoms, 3), fractional.
    :raises Refused: with `no sites` if no orbit is small enough.
    """
    order = len(rotations)
    points = rng.random((N_POINTS, 3))
    if order == 1 or (order <= missing and rng.random() < GENERAL_SHARE):
        return _images(rotations, translations, points)
    for _ in range(MAX_ELEMENTS):
        orbits = _special_orbits(rotations, translations, points, rng)
        if orbits is not None and orbits.shape[1] <= missing:
            return orbits
    if order <= missing:
        return _images(rotations, translations, points)
    raise Refused('no sites')


def _images(rotations: IntArray, translations: FloatArray, points: FloatArray) -> FloatArray:
    return np.einsum('oij,pj->poi', rotations, points) + translations


def _special_orbits(
    rotations: IntArray, translations: FloatArray, points: FloatArray, rng: np.random.Generator
) -> FloatArray | None:
    """Move points onto elements of symmetry and return their orbits, or nothing if the operations drawn leave no
    point fixed.

    The mean of the images of a point under the powers of an operation is fixed by the operation if it fixes any point.
    """
    # A second operation leads from an axis or a plane to where it meets another one.
    drawn = rng.integers(len(rotations), size=rng.integers(1, 3))
    operations = [(rotations[i], translations[i] + rng.integers(-1, 2, size=3)) for i in drawn]
    for rotation, translation in operations:
        power, total, images = points, points, 1
        matrix = rotation
        while not np.array_equal(matrix, np.eye(3)):
            power = power @ rotation.T + translation
            total = total + power
            images += 1
            matrix = rotation @ matrix
        points = total / images
    if not all(np.allclose(points @ r.T + t, points, rtol=0, atol=SAME_POINT) for r, t in operations):
        return None
    orbits = _images(rotations, translations, points)
    return distinct_images(orbits)


def distinct_images(orbits: FloatArray) -> FloatArray:
    """Return orbits without the images that coincide in each of them.

    :param orbits: (n_points, n_images, 3), fractional.
    """
    difference = orbits[0, :, None] - orbits[0, None, :]
    same = np.all(np.abs(difference - np.round(difference)) < SAME_POINT, axis=2)
    return orbits[:, np.argmax(same, axis=1) == np.arange(len(same))]
