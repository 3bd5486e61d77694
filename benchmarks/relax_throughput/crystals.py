"""Random crystals to relax."""

from __future__ import annotations

import numpy as np
from ase import Atoms


def random_crystals(count: int, n_atoms: int, rng: np.random.Generator, *, distance: float = 1.9) -> list[Atoms]:
    """Return random P1 cells of silicon, 80 to 130 % of 20 Å³ per atom.

    :param distance: least one of two atoms, Å.
    """
    found: list[Atoms] = []
    while len(found) < count:
        cell = np.eye(3) + rng.uniform(-0.25, 0.25, (3, 3))
        cell *= (rng.uniform(16, 26) * n_atoms / np.linalg.det(cell)) ** (1 / 3)
        positions = _place(n_atoms, cell, rng, distance)
        if positions is not None:
            found.append(Atoms(numbers=[14] * n_atoms, positions=positions, cell=cell, pbc=True))
    return found


def _place(n_atoms: int, cell: np.ndarray, rng: np.random.Generator, distance: float) -> np.ndarray | None:
    """Return (n_atoms, 3) positions, one after the other where there is room; ``None`` if there is none."""
    images = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3, indexing='ij'), axis=-1).reshape(-1, 3)
    placed = np.empty((0, 3))
    for _ in range(50 * n_atoms):
        trial = rng.random(3)
        vectors = (placed[:, None] - trial + images) @ cell
        if not len(placed) or np.einsum('aix,aix->ai', vectors, vectors).min() >= distance**2:
            placed = np.concatenate([placed, trial[None]])
        if len(placed) == n_atoms:
            return placed @ cell
    return None
