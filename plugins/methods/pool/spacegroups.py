"""Operations of space groups, in conventional and in primitive axes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations, product

import numpy as np
import spglib

from aiida_prospect.common.frames import FloatArray, IntArray
from aiida_prospect.methods.pool.spec import N_SPACE_GROUPS

N_HALL_SYMBOLS = 530


@dataclass(frozen=True, eq=False)
class SpaceGroup:
    """A space group in spglib's first setting: unique axis b, first origin, hexagonal axes.

    :param number: 1 to 230.
    :param primitive: (3, 3), vectors of a primitive cell as rows, in units of the conventional ones.
    :param rotations: (n_operations, 3, 3), of the primitive cell; a column of fractional coordinates x goes to R x + t.
    :param translations: (n_operations, 3).
    """

    number: int
    primitive: FloatArray
    rotations: IntArray
    translations: FloatArray


@cache
def _first_settings() -> dict[int, int]:
    settings: dict[int, int] = {}
    for hall in range(1, N_HALL_SYMBOLS + 1):
        settings.setdefault(spglib.get_spacegroup_type(hall).number, hall)
    return settings


@cache
def space_group(number: int) -> SpaceGroup:
    """Return the operations of a space group."""
    operations = spglib.get_symmetry_from_database(_first_settings()[number])
    rotations, translations = operations['rotations'], operations['translations']
    basis = primitive_basis(translations[np.all(rotations == np.eye(3), axis=(1, 2))])
    # Rows are basis vectors, so columns of coordinates transform by the transpose.
    to_primitive = np.linalg.inv(basis.T)
    _, first = np.unique(rotations.reshape(-1, 9), axis=0, return_index=True)
    first = np.sort(first)
    return SpaceGroup(
        number=number,
        primitive=basis,
        rotations=np.rint(to_primitive @ rotations[first] @ basis.T).astype(np.int64),
        translations=translations[first] @ to_primitive.T,
    )


def primitive_basis(centrings: FloatArray) -> FloatArray:
    """Return three short lattice vectors that span a primitive cell.

    :param centrings: (n, 3), fractional translations of a centred cell, zero among them.
    :return: (3, 3), rows, in units of the vectors of the centred cell, right-handed.
    """
    shifts = np.array(list(product((-1, 0, 1), repeat=3)))
    vectors = (centrings[:, None, :] + shifts).reshape(-1, 3)
    lengths = np.linalg.norm(vectors, axis=1)
    nearest = vectors[(lengths > 1e-6) & (lengths < 1.1)]
    nearest = nearest[np.argsort(np.linalg.norm(nearest, axis=1), kind='stable')]
    for triple in combinations(range(len(nearest)), 3):
        determinant = np.linalg.det(nearest[list(triple)])
        if abs(determinant * len(centrings) - 1) < 1e-3:
            return nearest[list(triple)] * np.sign(determinant)
    raise ValueError(f'the translations {centrings.tolist()} are no group')


@cache
def groups_by_order(largest: int) -> dict[int, tuple[int, ...]]:
    """Return the space groups by the number of operations of their primitive cells.

    :param largest: number of operations.
    """
    result: dict[int, list[int]] = {}
    for number in range(1, N_SPACE_GROUPS + 1):
        order = len(space_group(number).rotations)
        if order <= largest:
            result.setdefault(order, []).append(number)
    return {order: tuple(result[order]) for order in sorted(result)}
