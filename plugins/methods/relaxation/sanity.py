"""Whether a geometry is still that of a crystal."""

from __future__ import annotations

from itertools import product

import numpy as np
from ase.data import covalent_radii
from numpy.typing import NDArray

from aiida_prospect.methods.relaxation.settings import Sanity

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def unphysical(
    numbers: IntArray, offsets: IntArray, positions: FloatArray, cells: FloatArray, volumes: FloatArray, limits: Sanity
) -> dict[int, str]:
    """Say which structures are no crystals any more, and why.

    :param numbers: (n_atoms,).
    :param offsets: (n_frames + 1,).
    :param positions: (n_atoms, 3), Å.
    :param cells: (n_frames, 3, 3), Å.
    :param volumes: (n_frames,), at the start, Å³.
    """
    found: dict[int, str] = {}
    now = np.abs(np.linalg.det(cells))
    finite = np.isfinite(now) & np.logical_and.reduceat(np.isfinite(positions).all(axis=1), offsets[:-1])
    low = heights(np.where(finite[:, None, None], cells, np.eye(3)))
    ratio = now / volumes
    for index in np.flatnonzero(
        ~finite | (low < limits.height) | (ratio < limits.compression) | (ratio > limits.expansion)
    ):
        if not finite[index]:
            found[int(index)] = 'positions or cell are not finite'
        elif ratio[index] < limits.compression or ratio[index] > limits.expansion:
            found[int(index)] = f'the volume became {ratio[index]:.3g} times that at the start'
        else:
            found[int(index)] = f'the cell became {low[index]:.2f} Å flat'
    sound = np.array([index for index in range(len(cells)) if index not in found], dtype=np.int64)
    closest = closest_contacts(numbers, offsets, positions, cells, limits.distance, sound)
    for index, contact in zip(sound, closest, strict=True):
        if contact < limits.distance:
            found[int(index)] = f'two atoms came within {contact:.2f} times the sum of their covalent radii'
    return found


def heights(cells: FloatArray) -> FloatArray:
    """Return the (n_frames,) least distances of opposite faces of (n_frames, 3, 3) cells; 0 of one without volume."""
    return np.asarray(heights_by_axis(cells).min(axis=1))


def heights_by_axis(cells: FloatArray) -> FloatArray:
    """Return the (n_frames, 3) distances of opposite faces of (n_frames, 3, 3) cells; 0 of one without volume."""
    normals = np.cross(np.roll(cells, -1, axis=1), np.roll(cells, -2, axis=1))
    areas = np.linalg.norm(normals, axis=2)
    return np.asarray(np.abs(np.linalg.det(cells))[:, None] / np.where(areas > 0, areas, 1.0))


def closest_contacts(
    numbers: IntArray, offsets: IntArray, positions: FloatArray, cells: FloatArray, limit: float, chosen: IntArray
) -> FloatArray:
    """Return the shortest distances in units of the sum of covalent radii, exact where below ``limit``.

    With s the difference of two fractional coordinates wrapped to [−½, ½], the image s + n is at least (|n| − ½)
    heights away along each axis. So the wrapped image is enough along an axis where the cell is twice as high as the
    longest distance that counts, its two neighbours besides where it is two thirds as high, and so on.

    :param chosen: (m,), indices of the structures to look at.
    :return: (m,).
    """
    result = np.full(len(chosen), np.inf)
    sizes = np.diff(offsets)[chosen]
    radii = covalent_radii[numbers]
    reach = 2 * limit * np.maximum.reduceat(radii, offsets[:-1])[chosen]
    layers = np.ceil(reach[:, None] / heights_by_axis(cells[chosen]) + 0.5).astype(np.int64) - 1
    kinds = np.column_stack([sizes, layers])
    for size, *around in set(map(tuple, kinds.tolist())):
        rows = np.flatnonzero((kinds == [size, *around]).all(axis=1))
        atoms = offsets[chosen[rows]][:, None] + np.arange(size)
        images = np.array(list(product(*(range(-layer, layer + 1) for layer in around))), dtype=float)
        result[rows] = _closest(positions[atoms], cells[chosen[rows]], radii[atoms], images)
    return result


def _closest(positions: FloatArray, cells: FloatArray, radii: FloatArray, images: FloatArray) -> FloatArray:
    """Return the (m,) least distances over radii, from (m, n, 3), (m, 3, 3) and (m, n) arrays."""
    first, second = np.triu_indices(positions.shape[1], 1 if len(images) == 1 else 0)
    if not len(first):
        return np.full(len(cells), np.inf)
    fractional = np.linalg.solve(cells.transpose(0, 2, 1), positions.transpose(0, 2, 1)).transpose(0, 2, 1)
    differences = fractional[:, first] - fractional[:, second]
    differences -= np.round(differences)
    squared = np.full(differences.shape[:2], np.inf)
    for image in images:
        vectors = (differences + image) @ cells
        here = np.einsum('fpi,fpi->fp', vectors, vectors)
        if not image.any():
            here[:, first == second] = np.inf
        np.minimum(squared, here, out=squared)
    return np.asarray(np.min(np.sqrt(squared) / (radii[:, first] + radii[:, second]), axis=1))
