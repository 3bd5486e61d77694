"""Pools of random crystals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.pool.cells import check_cell, reduce_cell, unskewed
from aiida_prospect.methods.pool.constraints import check_packing, explain
from aiida_prospect.methods.pool.distances import first_conflict
from aiida_prospect.methods.pool.duplicates import Register
from aiida_prospect.methods.pool.makers import MAKERS, Crystal
from aiida_prospect.methods.pool.push import push_apart
from aiida_prospect.methods.pool.recipe import PoolError, Recipe, Refused
from aiida_prospect.methods.pool.report import PoolReport
from aiida_prospect.methods.pool.seeds import generator_for
from aiida_prospect.methods.pool.spec import PoolKind, PoolSpec
from aiida_prospect.methods.pool.structures import check_own, to_crystals

ORIGINS = {PoolKind.SYMMETRIC: 'sym', PoolKind.P1: 'p1', PoolKind.AIRSS: 'airss'}
OWN = 'own'
# A kind is given up after so many crystals in a row could not be made, or when all attempts exceed an allowance for
# each crystal plus that of one crystal: both end at the same crystal however many are asked for.
MAX_GIVEN_UP = 3
MEAN_ATTEMPTS = 20


@dataclass
class _Family:
    """Crystals of one kind and one number of formula units."""

    kind: PoolKind
    formula_units: int
    share: float
    recipe: Recipe
    begun: int = 0
    made: int = 0
    given_up: int = 0
    attempts: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


def generate(spec: PoolSpec, rng: np.random.Generator, own: Frames | None = None) -> tuple[Frames, PoolReport]:
    """Make random crystals.

    Each crystal has a random stream of its own, so that a pool of 100 begins with the pool of 50 of the same seed.
    Kinds and numbers of formula units take turns by their shares. If one of them gives no more (a space group with
    few free parameters has only so many different crystals), the others fill up; if all are exhausted the pool is
    shorter than asked for. The report notes both.

    :param own: structures to begin with, of the same composition; they are kept as they are, but for duplicates and
        lattice vectors that make a skew cell.
    :return: frames with :attr:`~aiida_prospect.common.frames.Frames.origin`, and what was refused.
    :raises PoolError: if no crystal at all can be made, with the constraint that stands against it.
    :raises ValueError: if the own structures have another composition.
    """
    entropy = rng.integers(2**32, size=4).tolist()
    report = PoolReport(spec.n_structures, spec.resolved_volume_per_atom(), spec.resolved_distances())
    register = Register()
    parts, origins = _own_frames(spec, own, register, report)
    counts: Counter[PoolKind] = Counter()
    crystals = []
    for family, crystal in _crystals(spec, entropy, register, report):
        crystals.append(crystal)
        origins.append(f'{spec.origin_prefix}{ORIGINS[family.kind]}-{counts[family.kind]:06d}')
        counts[family.kind] += 1
    if len(crystals) < spec.n_structures:
        report.notes.append(f'{len(crystals)} of {spec.n_structures} crystals could be made')
    frames = Frames.concatenate([*parts, _frames(crystals)]) if crystals or parts else Frames.empty()
    return frames.replace(origin=np.array(origins, dtype=np.str_)), report


def generate_from_parameters(parameters: Mapping[str, Any], own: Frames | None = None) -> tuple[Frames, PoolReport]:
    """Make random crystals, see :func:`generate`.

    :param parameters: those of :class:`PoolSpec` and a ``seed``.
    """
    values = dict(parameters)
    rng = generator_for(values.pop('seed', None), values.get('origin_prefix', ''))
    return generate(PoolSpec.from_parameters(values), rng, own)


def _own_frames(
    spec: PoolSpec, own: Frames | None, register: Register, report: PoolReport
) -> tuple[list[Frames], list[str]]:
    if own is None or not len(own):
        return [], []
    check_own(own, spec.composition)
    kept = []
    for index, crystal in enumerate(to_crystals(own)):
        if register.add(crystal):
            kept.append(index)
            report.accept(OWN)
        else:
            report.refuse(OWN, 'duplicate')
    chosen = own.select(kept)
    bare = Frames(chosen.numbers, chosen.offsets, chosen.positions, unskewed(chosen.cells))
    return [bare], [f'{spec.origin_prefix}{OWN}-{index:06d}' for index in range(len(kept))]


def _frames(crystals: list[Crystal]) -> Frames:
    if not crystals:
        return Frames.empty()
    return Frames(
        numbers=np.concatenate([crystal.numbers for crystal in crystals]),
        offsets=np.cumsum([0, *(len(crystal.numbers) for crystal in crystals)]),
        positions=np.concatenate([crystal.fractional @ crystal.cell for crystal in crystals]),
        cells=np.array([crystal.cell for crystal in crystals]),
    )


def _families(spec: PoolSpec) -> list[_Family]:
    recipes = {units: spec.recipe(units) for units in dict.fromkeys(spec.formula_units)}
    for recipe in recipes.values():
        check_packing(recipe)
    return [
        _Family(kind, units, spec.proportions[kind.value] / len(recipes), recipe)
        for kind in PoolKind
        for units, recipe in recipes.items()
        if spec.proportions.get(kind.value, 0) > 0
    ]


def _crystals(
    spec: PoolSpec, entropy: list[int], register: Register, report: PoolReport
) -> Iterator[tuple[_Family, Crystal]]:
    """Yield crystals of the families in turn, until there are enough or no family gives any more.

    :raises PoolError: if none gives any.
    """
    families = _families(spec)
    active = list(families)
    for _ in range(spec.n_structures):
        crystal = None
        while crystal is None and active:
            family = min(active, key=lambda f: (f.begun + 1) / f.share)
            crystal = _crystal(spec, family, entropy, register, report)
            if crystal is None and _is_exhausted(spec, family):
                active.remove(family)
                report.notes.append(_note(spec, family))
        if crystal is None:
            break
        yield family, crystal
    if spec.n_structures and not any(family.made or family.reasons['duplicate'] for family in families):
        # What stands against crystals without any symmetry stands against all.
        family = min(families, key=lambda f: (PoolKind.P1, PoolKind.AIRSS, PoolKind.SYMMETRIC).index(f.kind))
        raise PoolError(explain(family.kind, spec, family.recipe, family.reasons))


def _crystal(
    spec: PoolSpec, family: _Family, entropy: list[int], register: Register, report: PoolReport
) -> Crystal | None:
    """Return the next crystal of a family, or nothing if all attempts failed."""
    key = (list(PoolKind).index(family.kind), family.formula_units, family.begun)
    rng = np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=key))
    family.begun += 1
    for _ in range(spec.max_attempts):
        family.attempts += 1
        try:
            crystal = MAKERS[family.kind](spec, family.recipe, rng)
            _check(crystal, family.recipe)
            crystal = _pushed(crystal, family.recipe)
            if not register.add(crystal):
                raise Refused('duplicate')
        except Refused as refused:
            report.refuse(family.kind.value, refused.reason)
            family.reasons[refused.reason] += 1
            continue
        report.accept(family.kind.value)
        family.made += 1
        family.given_up = 0
        return crystal
    family.given_up += 1
    return None


def _check(crystal: Crystal, recipe: Recipe) -> None:
    """Refuse atoms too near to each other, whatever the crystal was made by."""
    pair = first_conflict(crystal.cell, crystal.fractional, recipe.kinds, recipe.distances)
    if pair is not None:
        raise Refused(f'distance {recipe.pair(*pair)}')


def _pushed(crystal: Crystal, recipe: Recipe) -> Crystal:
    """Push overlapping atoms apart, and refuse a crystal that has to swell for that."""
    if recipe.contact is None:
        return crystal
    cell, fractional = push_apart(crystal.cell, crystal.fractional, recipe.kinds, recipe.contact)
    if cell is crystal.cell:
        return crystal
    reduced = reduce_cell(cell)
    check_cell(reduced, recipe)
    return Crystal(crystal.numbers, reduced, fractional @ cell @ np.linalg.inv(reduced) % 1.0)


def _is_exhausted(spec: PoolSpec, family: _Family) -> bool:
    allowance = spec.max_attempts + MEAN_ATTEMPTS * family.begun
    return not family.made or family.given_up >= MAX_GIVEN_UP or family.attempts > allowance


def _note(spec: PoolSpec, family: _Family) -> str:
    if not family.made:
        return explain(family.kind, spec, family.recipe, family.reasons)
    reason, number = family.reasons.most_common(1)[0]
    return (
        f'{family.kind} crystals of {family.recipe.formula} were given up after {family.made}: {number} of '
        f'{family.attempts} attempts were refused for `{reason}`'
    )
