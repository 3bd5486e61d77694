"""Constraints on one crystal, and what is raised where they cannot be met."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from ase.data import atomic_numbers

from aiida_prospect.common.frames import FloatArray, IntArray
from aiida_prospect.methods.pool.composition import format_composition


class PoolError(ValueError):
    """No crystal can be made under the constraints; the message names the binding one."""


class Refused(Exception):
    """One attempt to make a crystal failed.

    :param reason: a few words, equal for equal causes, by which attempts are counted.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Recipe:
    """Constraints on crystals of one composition.

    :param composition: of the cell.
    :param volume: smallest and largest volume of the cell, Å³.
    :param distances: (n_elements, n_elements), smallest distance of two atoms, elements in the order of the
        composition, Å.
    :param contact: the same for the distances to which atoms are pushed apart, Å; ``None``: not at all.
    :param lengths: of the shortest and the longest edge of the cell, Å.
    :param angles: smallest and largest angle between the edges, degrees.
    """

    composition: dict[str, int]
    volume: tuple[float, float]
    distances: FloatArray
    contact: FloatArray | None
    lengths: tuple[float, float]
    angles: tuple[float, float]

    @cached_property
    def kinds(self) -> IntArray:
        """(n_atoms,), index of each atom's element in the composition."""
        return np.repeat(np.arange(len(self.composition)), list(self.composition.values()))

    @cached_property
    def numbers(self) -> IntArray:
        """(n_atoms,), atomic numbers."""
        return np.array([atomic_numbers[element] for element in self.composition])[self.kinds]

    @property
    def formula(self) -> str:
        """Of the cell."""
        return format_composition(self.composition)

    def pair(self, a: int, b: int) -> str:
        """Return the name of a pair of elements, as users write it."""
        symbols = list(self.composition)
        return '-'.join(sorted((symbols[a], symbols[b])))
