"""Distances under periodic boundaries, exact for cells of any shape."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from aiida_prospect.common.frames import FloatArray, IntArray


def image_shifts(cell: FloatArray, reach: float) -> FloatArray:
    """Return the lattice translations that matter for distances up to ``reach``.

    Planes of lattice points are ``h`` apart, so that two atoms whose fractional coordinates differ by ``f`` (at most
    1/2) and ``n`` lattice vectors are at least ``|f + n| h`` apart.

    :param cell: (3, 3), rows, Å.
    :return: (n, 3), integers; the first is zero.
    """
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    limits = np.ceil(reach / heights + 0.5).astype(int) - 1
    return _grid(*limits.tolist())


@lru_cache(maxsize=1024)
def _grid(*limits: int) -> FloatArray:
    shifts = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in limits), indexing='ij'), axis=-1).reshape(-1, 3)
    ordered: FloatArray = shifts[np.argsort(np.abs(shifts).sum(axis=1), kind='stable')].astype(float)
    ordered.flags.writeable = False
    return ordered


def separations(a: FloatArray, b: FloatArray, cell: FloatArray, shifts: FloatArray) -> FloatArray:
    """Return the shortest distance of each atom of ``a`` to each of ``b``.

    :param a: (..., n, 3), fractional.
    :param b: (..., m, 3), fractional.
    :param shifts: see :func:`image_shifts`; distances beyond their reach may come out too large.
    :return: (..., n, m), Å.
    """
    difference = a[..., :, None, :] - b[..., None, :, :]
    difference = difference - np.round(difference)
    vectors = difference[..., None, :] @ cell + shifts @ cell
    return np.sqrt(np.min(np.einsum('...i,...i->...', vectors, vectors), axis=-1))


def shortest_translation(cell: FloatArray, reach: float) -> float:
    """Return the distance of an atom to its nearest image, or infinity if it is beyond ``reach``, Å."""
    lengths = np.linalg.norm(image_shifts(cell, reach)[1:] @ cell, axis=1)
    return float(lengths.min(initial=np.inf))


def first_conflict(
    cell: FloatArray, fractional: FloatArray, kinds: IntArray, limits: FloatArray
) -> tuple[int, int] | None:
    """Return the kinds of the two atoms that are nearest relative to what is allowed, if they are too near.

    :param kinds: (n_atoms,), index of each atom into ``limits``.
    :param limits: (n_kinds, n_kinds), smallest distances, Å.
    """
    reach = float(limits.max())
    allowed = limits[kinds[:, None], kinds[None, :]]
    found = separations(fractional, fractional, cell, image_shifts(cell, reach))
    np.fill_diagonal(found, shortest_translation(cell, reach))
    i, j = np.unravel_index(np.argmin(found - allowed), found.shape)
    return (int(kinds[i]), int(kinds[j])) if found[i, j] < allowed[i, j] else None
