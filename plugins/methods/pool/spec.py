"""What a pool of random crystals is to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from itertools import product
from typing import Any

import numpy as np

from aiida_prospect.common.enums import Choice
from aiida_prospect.methods.pool import elements
from aiida_prospect.methods.pool.composition import check_composition, format_composition, parse_composition
from aiida_prospect.methods.pool.recipe import Recipe

N_SPACE_GROUPS = 230


class PoolKind(Choice):
    """How random crystals are made."""

    SYMMETRIC = 'symmetric'
    P1 = 'p1'
    AIRSS = 'airss'


@dataclass(frozen=True)
class PoolSpec:
    """A pool of random crystals.

    :param composition: of one formula unit.
    :param n_structures: number of random crystals.
    :param formula_units: numbers of formula units in a cell; they take turns.
    :param proportions: share of each :class:`PoolKind`; need not add up to 1.
    :param volume_per_atom: Å³; estimated from elemental data if not given.
    :param volume_range: the volume of the cell is uniform between these fractions of the estimate.
    :param min_distances: by pair of elements (``Na-Cl``), Å; estimated for the pairs not given.
    :param distance_scale: estimated distances as a fraction of the sum of radii.
    :param push: crystals are made with the distances above, then atoms are pushed apart to this fraction of the sum of
        radii, which strains the cell a little; ``None`` to leave them as they are.
    :param lengths: smallest and largest edge of a cell, Å; if not given, 0.35 and 2.5 times the edge of the cube of
        its volume.
    :param angles: smallest and largest angle between edges, degrees.
    :param space_groups: those that symmetric crystals may have; all if not given.
    :param max_operations: largest number of symmetry operations of an AIRSS-like crystal.
    :param max_attempts: number of attempts for one crystal after which it is given up.
    :param origin_prefix: put before the name of each crystal.
    :raises ValueError: if a value is out of its range or names an element that the composition does not have.
    """

    composition: Mapping[str, int]
    n_structures: int
    formula_units: tuple[int, ...] = (1,)
    proportions: Mapping[str, float] = field(default_factory=lambda: {'symmetric': 0.5, 'p1': 0.25, 'airss': 0.25})
    volume_per_atom: float | None = None
    volume_range: tuple[float, float] = (0.8, 1.5)
    min_distances: Mapping[str, float] = field(default_factory=dict)
    distance_scale: float = 0.72
    push: float | None = 1.0
    lengths: tuple[float, float] | None = None
    angles: tuple[float, float] = (60.0, 120.0)
    space_groups: tuple[int, ...] | None = None
    max_operations: int = 6
    max_attempts: int = 100
    origin_prefix: str = ''

    def __post_init__(self) -> None:
        object.__setattr__(self, 'composition', check_composition(self.composition))
        kinds, shares = [kind.value for kind in PoolKind], list(self.proportions.values())
        pairs = {name: name.split('-') for name in self.min_distances}
        rules = {
            'n_structures': (_is_integer(self.n_structures, 0), 'an integer ≥ 0'),
            'formula_units': (
                bool(self.formula_units) and all(_is_integer(units, 1) for units in self.formula_units),
                'a list of integers ≥ 1',
            ),
            'proportions': (
                set(self.proportions) <= set(kinds) and all(map(_is_number, shares)) and sum(shares) > 0,
                f'shares ≥ 0, not all of them 0, of {", ".join(kinds)}',
            ),
            'volume_per_atom': (
                self.volume_per_atom is None or (_is_number(self.volume_per_atom) and self.volume_per_atom > 0),
                'a number > 0 in Å³, or null for an estimate',
            ),
            'volume_range': (_is_range(self.volume_range), 'two ascending numbers > 0'),
            'min_distances': (
                all(len(pair) == 2 and set(pair) <= set(self.composition) for pair in pairs.values())
                and all(map(_is_number, self.min_distances.values())),
                f'numbers ≥ 0 in Å for pairs such as `{"-".join(sorted([*self.composition, *self.composition])[:2])}` '
                f'of the elements of {self.formula}',
            ),
            'push': (self.push is None or _is_number(self.push), 'a number ≥ 0, or nothing'),
            'distance_scale': (_is_number(self.distance_scale), 'a number ≥ 0'),
            'lengths': (
                self.lengths is None or _is_range(self.lengths),
                'two ascending numbers > 0 in Å, or null for an estimate',
            ),
            'angles': (_is_range(self.angles) and self.angles[1] < 180, 'two ascending angles between 0 and 180'),
            'space_groups': (
                self.space_groups is None
                or (bool(self.space_groups) and {*self.space_groups} <= {*range(1, N_SPACE_GROUPS + 1)}),
                'a list of numbers from 1 to 230, or null for all',
            ),
            'max_operations': (_is_integer(self.max_operations, 1), 'an integer ≥ 1'),
            'max_attempts': (_is_integer(self.max_attempts, 1), 'an integer ≥ 1'),
        }
        for name, (holds, allowed) in rules.items():
            if not holds:
                raise ValueError(f'`{name}` is {getattr(self, name)}; allowed: {allowed}')

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> PoolSpec:
        """Make a specification of plain values, with the names of the parameters of the class.

        :param parameters: the composition may be a formula; lists stand for tuples.
        :raises ValueError: if a name is unknown, one that is needed is missing, or a value is out of its range.
        """
        names = {f.name for f in fields(cls)}
        unknown, missing = set(parameters) - names, {'composition', 'n_structures'} - set(parameters)
        if unknown or missing:
            raise ValueError(
                f'parameters of a pool: {", ".join(sorted(unknown)) or "none"} unknown, '
                f'{", ".join(sorted(missing)) or "none"} missing; known are {", ".join(sorted(names))}'
            )
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in parameters.items()
        }
        if isinstance(values['composition'], str):
            values['composition'] = parse_composition(values['composition'])
        return cls(**values)

    @property
    def formula(self) -> str:
        """Of one formula unit."""
        return format_composition(self.composition)

    def resolved_volume_per_atom(self) -> float:
        """Return the volume per atom that is given, or else estimated, Å³."""
        return self.volume_per_atom or elements.volume_per_atom(self.composition)

    def resolved_distances(self) -> dict[str, float]:
        """Return the smallest distance of each pair of elements, given or else estimated, Å."""
        estimates = elements.min_distances(self.composition, self.distance_scale)
        given = {'-'.join(sorted(name.split('-'))): float(value) for name, value in self.min_distances.items()}
        return {'-'.join(pair): given.get('-'.join(pair), value) for pair, value in estimates.items()}

    def recipe(self, formula_units: int) -> Recipe:
        """Return the constraints on crystals of a number of formula units."""
        composition = {element: number * formula_units for element, number in self.composition.items()}
        estimate = self.resolved_volume_per_atom() * sum(composition.values())
        distances = self.resolved_distances()
        matrix = np.array([distances['-'.join(sorted(pair))] for pair in product(composition, repeat=2)])
        contacts = elements.min_distances(self.composition, self.push or 0.0)
        contact = np.array([contacts[min(pair), max(pair)] for pair in product(composition, repeat=2)])
        shape = (len(composition), len(composition))
        edge = np.cbrt(estimate)
        return Recipe(
            composition=composition,
            volume=(estimate * self.volume_range[0], estimate * self.volume_range[1]),
            distances=matrix.reshape(shape),
            contact=None if self.push is None else np.maximum(matrix, contact).reshape(shape),
            lengths=self.lengths or (0.35 * edge, 2.5 * edge),
            angles=self.angles,
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float('inf')


def _is_integer(value: Any, least: int) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value >= least)


def _is_range(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(_is_number, value)) and 0 < value[0] <= value[1]
