"""Which constraint stands against a crystal, in words."""

from __future__ import annotations

from collections import Counter
from math import sqrt

from aiida_prospect.methods.pool.recipe import PoolError, Recipe
from aiida_prospect.methods.pool.spec import PoolKind, PoolSpec


def check_packing(recipe: Recipe) -> None:
    """Refuse distances that no arrangement at all can have.

    Equal spheres fill at most π/√18 of the space, so that n atoms at least d apart need a volume of n d³ / √2
    (T. C. Hales, Ann. Math. 162, 1065 (2005)).

    :raises PoolError: if the atoms of one element do not fit into the largest volume.
    """
    for index, (element, number) in enumerate(recipe.composition.items()):
        distance = float(recipe.distances[index, index])
        if number * distance**3 / sqrt(2) > recipe.volume[1]:
            raise PoolError(_too_large(recipe, f'{element}-{element}', distance))


def explain(kind: PoolKind, spec: PoolSpec, recipe: Recipe, reasons: Counter[str]) -> str:
    """Return the message for a kind of which no crystal could be made.

    :param reasons: number of refused attempts by reason.
    """
    classes: Counter[str] = Counter()
    for reason, number in reasons.items():
        classes[reason.split(' in group ')[0]] += number
    first = classes.most_common(1)[0][0]
    counts = ', '.join(f'{number} × {reason}' for reason, number in classes.most_common(4))
    tried = f'({kind}, {sum(reasons.values())} attempts: {counts})'
    groups = f'space groups {", ".join(map(str, spec.space_groups))}' if spec.space_groups else 'any space group drawn'
    if first.startswith('distance '):
        a, b = first.removeprefix('distance ').split('-')
        symbols = list(recipe.composition)
        distance = float(recipe.distances[symbols.index(a), symbols.index(b)])
        return f'{_too_large(recipe, f"{a}-{b}", distance)} {tried}'
    match first:
        case 'cell length':
            return (
                f'no cell of {recipe.volume[0]:.0f}–{recipe.volume[1]:.0f} Å³ for {recipe.formula} has edges between '
                f'{recipe.lengths[0]:.2f} and {recipe.lengths[1]:.2f} Å: widen `lengths` {tried}'
            )
        case 'cell angle':
            return (
                f'no cell for {recipe.formula} has angles between {recipe.angles[0]:g}° and {recipe.angles[1]:g}°: '
                f'widen `angles` {tried}'
            )
        case 'volume':
            return (
                f'{recipe.formula} swells beyond {recipe.volume[1] / len(recipe.kinds):.1f} Å³/atom when atoms that '
                f'overlap are pushed apart: lower `push`, now {spec.push}, or raise `volume_per_atom` or the end of '
                f'`volume_range` {tried}'
            )
        case 'duplicate':
            return (
                f'all crystals of {recipe.formula} that could be made equal others of the pool, but for their volume: '
                f'give other `space_groups`, `max_operations` or `formula_units`, or more `p1` in `proportions` {tried}'
            )
        case 'no Wyckoff combination':
            return (
                f'{recipe.formula} does not fit on the Wyckoff positions of {groups}: give other `space_groups` or '
                f'`formula_units` {tried}'
            )
        case _:
            return (
                f'the numbers of atoms of {recipe.formula} do not fit the symmetry of {groups}: give other '
                f'`space_groups`, `max_operations` or `formula_units` {tried}'
            )


def _too_large(recipe: Recipe, pair: str, distance: float) -> str:
    n_atoms = len(recipe.kinds)
    low, high = (volume / n_atoms for volume in recipe.volume)
    return (
        f'the minimum distance {pair} {distance:.2f} Å does not fit into {low:.1f}–{high:.1f} Å³/atom for '
        f'{recipe.formula}: lower `min_distances` or raise `volume_per_atom`'
    )
