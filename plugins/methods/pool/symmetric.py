"""Crystals on the Wyckoff positions of a space group, which PyXtal tabulates.

PyXtal's own ``from_random`` places one point at a time and may spend seconds on a group into which the atoms do not
fit; here all that is random is drawn from one generator, many points at a time, and every attempt is short.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from pyxtal.symmetry import Group

from aiida_prospect.common.frames import FloatArray
from aiida_prospect.methods.pool.cells import check_cell, crystal_system, random_cell, reduce_cell
from aiida_prospect.methods.pool.placement import N_POINTS, distinct_images, place_atoms, placing_order
from aiida_prospect.methods.pool.recipe import Recipe, Refused
from aiida_prospect.methods.pool.spacegroups import primitive_basis
from aiida_prospect.methods.pool.spec import N_SPACE_GROUPS

COMBINATIONS = 5
MAX_DRAWS = 50


@dataclass(frozen=True, eq=False)
class WyckoffPosition:
    """Points that a space group copies to as many others.

    :param multiplicity: number of atoms in the conventional cell.
    :param is_point: whether it has no free coordinate, so that there is room for one orbit only.
    :param matrices: (multiplicity, 3, 3), fractional coordinates are M x + t for any x.
    :param offsets: (multiplicity, 3).
    """

    multiplicity: int
    is_point: bool
    matrices: FloatArray
    offsets: FloatArray


@cache
def wyckoff_positions(number: int) -> tuple[WyckoffPosition, ...]:
    """Return the Wyckoff positions of a space group in its standard setting, the general one first."""
    positions = []
    for position in _group(number):
        operations = np.array([operation.affine_matrix for operation in position.ops])
        positions.append(
            WyckoffPosition(len(operations), position.get_dof() == 0, operations[:, :3, :3], operations[:, :3, 3])
        )
    return tuple(positions)


def make(
    space_groups: tuple[int, ...] | None, recipe: Recipe, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Make one attempt at a crystal of a random space group.

    In a centred group the atoms fill either the conventional or the primitive cell, by chance.

    :param space_groups: those to draw from; all if not given.
    :return: (3, 3), cell, Å, and (n_atoms, 3), fractional positions in the order of :attr:`Recipe.kinds`.
    :raises Refused: with `no Wyckoff combination in group N`, what is wrong with the cell, or two elements that came
        too near.
    """
    number = int(rng.choice(space_groups or np.arange(1, N_SPACE_GROUPS + 1)))
    basis = _primitive(number)
    points = round(1 / np.linalg.det(basis))
    if rng.random() < 0.5:
        basis, points = np.eye(3), 1
    if not _is_compatible(number, tuple(points * count for count in recipe.composition.values())):
        raise Refused(f'no Wyckoff combination in group {number}')
    cell = basis @ random_cell(crystal_system(number), points * rng.uniform(*recipe.volume), recipe.angles, rng)
    final = reduce_cell(cell) if points > 1 else cell
    check_cell(final, recipe)
    for _ in range(COMBINATIONS):
        try:
            fractional = _place(wyckoff_positions(number), cell, basis, points, recipe, rng)
        except Refused as refused:
            last = refused
            continue
        fractional = fractional @ cell @ np.linalg.inv(final)
        return final, fractional - np.floor(fractional)
    raise last


def _place(
    positions: tuple[WyckoffPosition, ...],
    cell: FloatArray,
    basis: FloatArray,
    points: int,
    recipe: Recipe,
    rng: np.random.Generator,
) -> FloatArray:
    """Draw Wyckoff positions for all atoms and place them.

    :param cell: (3, 3), of which ``basis`` gives the vectors in units of the conventional ones.
    :param points: number of such cells in the conventional one.
    """
    multiplicities = np.array([position.multiplicity // points for position in positions])
    chosen = draw_combination(multiplicities, np.array([p.is_point for p in positions]), recipe, rng)
    to_cell = np.linalg.inv(basis)

    def draw(kind: int, missing: int) -> FloatArray:
        position = positions[_next_site(chosen[kind], multiplicities, missing)]
        x = rng.random((1 if position.is_point else N_POINTS, 3))
        orbits = np.einsum('oij,pj->poi', position.matrices, x) + position.offsets
        return orbits if points == 1 else distinct_images(orbits @ to_cell)

    return place_atoms(cell, recipe, draw)


def _next_site(sites: list[int], multiplicities: FloatArray, missing: int) -> int:
    """Return the first site of a list of which the atoms are not placed yet, where ``missing`` atoms are not."""
    left = np.cumsum(multiplicities[sites][::-1])[::-1]
    return sites[int(np.flatnonzero(left == missing)[0])]


def draw_combination(
    multiplicities: FloatArray, is_point: FloatArray, recipe: Recipe, rng: np.random.Generator
) -> dict[int, list[int]]:
    """Draw Wyckoff positions that hold the atoms of a recipe, with PyXtal's preference for high multiplicities.

    :param multiplicities: (n_positions,), number of atoms in the cell, falling.
    :param is_point: (n_positions,), whether only one orbit fits.
    :return: indices of positions, by index of the element.
    :raises Refused: with `no sites` if none was found by chance.
    """
    for _ in range(MAX_DRAWS):
        available = np.ones(len(multiplicities), dtype=bool)
        chosen: dict[int, list[int]] = {}
        for kind in placing_order(recipe):
            missing, chosen[kind] = int(np.count_nonzero(recipe.kinds == kind)), []
            while missing:
                fitting = np.flatnonzero(available & (multiplicities <= missing))
                if not len(fitting):
                    break
                if rng.random() < 0.5:
                    fitting = fitting[multiplicities[fitting] == multiplicities[fitting].max()]
                site = int(rng.choice(fitting))
                available[site] = not is_point[site]
                chosen[kind].append(site)
                missing -= int(multiplicities[site])
            if missing:
                break
        else:
            return chosen
    raise Refused('no sites')


@cache
def _group(number: int) -> Group:
    return Group(number)


@cache
def _is_compatible(number: int, counts: tuple[int, ...]) -> bool:
    return bool(_group(number).check_compatible(np.array(counts))[0])


@cache
def _primitive(number: int) -> FloatArray:
    general = wyckoff_positions(number)[0]
    return primitive_basis(general.offsets[np.all(general.matrices == np.eye(3), axis=(1, 2))])
