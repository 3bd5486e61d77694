"""One attempt to make a crystal, for each kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aiida_prospect.common.frames import FloatArray, IntArray
from aiida_prospect.methods.pool.cells import CrystalSystem, check_cell, crystal_system, random_cell, reduce_cell
from aiida_prospect.methods.pool.placement import N_POINTS, place_atoms, random_orbits
from aiida_prospect.methods.pool.recipe import Recipe
from aiida_prospect.methods.pool.spacegroups import groups_by_order, space_group
from aiida_prospect.methods.pool.spec import PoolKind, PoolSpec


@dataclass(frozen=True, eq=False)
class Crystal:
    """A periodic structure.

    :param numbers: (n_atoms,), atomic numbers.
    :param cell: (3, 3), rows, Å.
    :param fractional: (n_atoms, 3).
    """

    numbers: IntArray
    cell: FloatArray
    fractional: FloatArray


Maker = Callable[[PoolSpec, Recipe, np.random.Generator], Crystal]


def make_p1(spec: PoolSpec, recipe: Recipe, rng: np.random.Generator) -> Crystal:
    """Make a crystal without symmetry: random cell, random points.

    :raises Refused: if the attempt fails.
    """
    cell = reduce_cell(random_cell(CrystalSystem.TRICLINIC, rng.uniform(*recipe.volume), recipe.angles, rng))
    check_cell(cell, recipe)
    return Crystal(recipe.numbers, cell, place_atoms(cell, recipe, lambda kind, missing: rng.random((N_POINTS, 1, 3))))


def make_airss(spec: PoolSpec, recipe: Recipe, rng: np.random.Generator) -> Crystal:
    """Make a crystal with a few symmetry operations, as AIRSS does.

    The number of operations is drawn first, then a space group that has so many in its primitive cell (C. J. Pickard
    and R. J. Needs, J. Phys.: Condens. Matter 23, 053201 (2011)).

    :raises Refused: if the attempt fails.
    """
    groups = groups_by_order(spec.max_operations)
    group = space_group(int(rng.choice(groups[int(rng.choice(list(groups)))])))
    conventional = rng.uniform(*recipe.volume) / abs(np.linalg.det(group.primitive))
    cell = group.primitive @ random_cell(crystal_system(group.number), conventional, recipe.angles, rng)
    reduced = reduce_cell(cell)
    check_cell(reduced, recipe)

    def draw(kind: int, missing: int) -> FloatArray:
        return random_orbits(group.rotations, group.translations, missing, rng)

    fractional = place_atoms(cell, recipe, draw) @ cell @ np.linalg.inv(reduced)
    return Crystal(recipe.numbers, reduced, fractional - np.floor(fractional))


def make_symmetric(spec: PoolSpec, recipe: Recipe, rng: np.random.Generator) -> Crystal:
    """Make a crystal with the symmetry of a random space group, on the Wyckoff positions that PyXtal tabulates.

    :raises Refused: if the attempt fails.
    """
    # PyXtal takes a second to import and is needed for this kind only.
    from aiida_prospect.methods.pool.symmetric import make

    cell, fractional = make(spec.space_groups, recipe, rng)
    return Crystal(recipe.numbers, cell, fractional)


MAKERS: dict[PoolKind, Maker] = {
    PoolKind.SYMMETRIC: make_symmetric,
    PoolKind.P1: make_p1,
    PoolKind.AIRSS: make_airss,
}
