import numpy as np
import pytest
import spglib

from aiida_prospect.methods.pool import symmetric
from aiida_prospect.methods.pool.cells import crystal_system, random_cell
from aiida_prospect.methods.pool.placement import place_atoms, random_orbits
from aiida_prospect.methods.pool.recipe import Refused
from aiida_prospect.methods.pool.spacegroups import groups_by_order, space_group
from aiida_prospect.methods.pool.spec import N_SPACE_GROUPS, PoolSpec

RECIPE = PoolSpec({'Al': 8, 'O': 12}, 1, distance_scale=0.4).recipe(1)
ORDERS = {number: len(space_group(number).rotations) for number in range(1, N_SPACE_GROUPS + 1)}


def symmetry_order(cell, fractional):
    """Return the number of rotations of the crystal, found without knowing how it was made."""
    number = spglib.get_symmetry_dataset((cell, fractional, RECIPE.numbers), symprec=1e-4).number
    return ORDERS[number]


def attempts(make, count):
    for _ in range(count):
        try:
            yield make()
        except Refused:
            continue


def test_orders_are_those_of_the_point_groups():
    assert [ORDERS[number] for number in (1, 2, 5, 15, 62, 166, 194, 216, 225, 227)] == [
        1, 2, 2, 4, 8, 12, 24, 24, 48, 48,
    ]  # fmt: skip
    assert list(groups_by_order(6)) == [1, 2, 3, 4, 6]
    assert all(ORDERS[number] == order for order, numbers in groups_by_order(48).items() for number in numbers)


def test_operations_of_the_primitive_cell_form_a_group():
    for number in (5, 15, 43, 70, 146, 166, 217, 227):
        group = space_group(number)
        products = np.einsum('aij,bjk->abik', group.rotations, group.rotations).reshape(-1, 9)
        assert {tuple(r) for r in products} == {tuple(r) for r in group.rotations.reshape(-1, 9)}
        for rotation, translation in zip(group.rotations, group.translations, strict=True):
            shifts = group.translations @ rotation.T + translation
            rotations = rotation @ group.rotations
            for product, shift in zip(rotations, shifts, strict=True):
                same = np.all(group.rotations == product, axis=(1, 2))
                difference = group.translations[same][0] - shift
                np.testing.assert_allclose(difference - np.round(difference), 0, atol=1e-4)


def test_every_space_group_gives_crystals_that_have_its_operations():
    rng = np.random.default_rng(0)
    seen = set()
    for number in range(1, N_SPACE_GROUPS + 1):
        for cell, fractional in attempts(lambda: symmetric.make((number,), RECIPE, rng), 2):  # noqa: B023
            seen.add(number)
            assert len(fractional) == len(RECIPE.kinds)
            assert symmetry_order(cell, fractional) >= ORDERS[number]
    # In some groups no positions hold 8 and 12 atoms.
    assert len(seen) > 190


def test_points_on_elements_of_symmetry_keep_the_operations():
    rng = np.random.default_rng(0)
    seen = set()
    for number in range(2, N_SPACE_GROUPS + 1, 3):
        group = space_group(number)

        def make():
            shape = random_cell(crystal_system(number), 1.0, RECIPE.angles, rng)  # noqa: B023
            cell = group.primitive @ shape  # noqa: B023
            cell = cell * np.cbrt(RECIPE.volume[1] / np.linalg.det(cell))

            def draw(kind, missing):
                return random_orbits(group.rotations, group.translations, missing, rng)  # noqa: B023

            return cell, place_atoms(cell, RECIPE, draw)

        for cell, fractional in attempts(make, 2):
            seen.add(number)
            assert len(fractional) == len(RECIPE.kinds)
            assert symmetry_order(cell, fractional) >= ORDERS[number]
    assert len(seen) > 40


def test_centred_groups_fill_the_conventional_and_the_primitive_cell():
    rng = np.random.default_rng(0)
    recipe = PoolSpec({'Si': 8}, 1).recipe(1)
    found = list(attempts(lambda: symmetric.make((227,), recipe, rng), 40))
    sizes = {len(spglib.find_primitive((cell, fractional, recipe.numbers))[2]) for cell, fractional in found}
    # Eight atoms in the conventional cell are two in the primitive one.
    assert {2, 8} <= sizes


def test_group_without_fitting_positions_is_named():
    with pytest.raises(Refused, match='no Wyckoff combination in group 227'):
        symmetric.make((227,), PoolSpec({'Si': 5}, 1).recipe(1), np.random.default_rng(0))
