"""Regularised least squares for linear force fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from aiida_prospect.methods.pod_equations import FrameEquations

FloatArray = NDArray[np.float64]

KINDS = ('energy', 'forces', 'virial')


@dataclass(frozen=True)
class FitSettings:
    """How to weigh the labels.

    :param tolerance: errors that are equally bad: ``energy`` (eV/atom), ``forces`` (eV/Å), ``virial`` (eV/atom).
    :param energy_scale: errors of a frame that lies this much above the lowest, in eV/atom, count half; ``None`` for no
        difference.
    :param regularisation: strengths to choose from by cross-validation, relative to the mean square of the columns.
    :param folds: of the cross-validation, which uses all frames, so that all members make the same choice.
    :param share: of the origins that a member is fitted to; members of an ensemble differ by which.
    """

    tolerance: Mapping[str, float]
    energy_scale: float | None
    regularisation: Sequence[float]
    folds: int
    share: float | None

    def __post_init__(self) -> None:
        if set(self.tolerance) != set(KINDS) or not all(value > 0 for value in self.tolerance.values()):
            raise ValueError(f'`tolerance` is {dict(self.tolerance)}, expected positive numbers for {", ".join(KINDS)}')
        if not self.regularisation or not all(value > 0 for value in self.regularisation):
            raise ValueError(f'`regularisation` is {list(self.regularisation)}, expected positive numbers')
        if self.folds < 2:
            raise ValueError(f'`folds` is {self.folds}, expected at least 2')
        if self.share is not None and not 0 < self.share <= 1:
            raise ValueError(f'`share` is {self.share}, expected a number above 0 and up to 1')
        if self.energy_scale is not None and not self.energy_scale > 0:
            raise ValueError(f'`energy_scale` is {self.energy_scale}, expected a positive number or null')


@dataclass(frozen=True)
class Fit:
    """The result.

    :param coefficients: (n,), eV.
    :param used: indices of the frames that they were fitted to.
    :param regularisation: the strength that was chosen.
    :param errors: of each of the strengths on frames that were left out, in units of the tolerances.
    :param left_out: errors of the chosen strength on frames that were left out, named as by
        :func:`~aiida_prospect.methods.model_errors.model_errors`; empty if there were too few origins.
    """

    coefficients: FloatArray
    used: NDArray[np.int64]
    regularisation: float
    errors: list[float]
    left_out: dict[str, float]


def fit(
    rows: Sequence[FrameEquations],
    origins: Sequence[Any],
    settings: FitSettings,
    rng: np.random.Generator,
    n_elements: int,
) -> Fit:
    """Fit coefficients.

    :param origins: one for each frame; frames of one origin are left out together, by members and in cross-validation.
    :param rng: draws what a member is fitted to.
    :param n_elements: each of which has the same number of columns, the first of them for the energy of an atom alone.
    """
    problem = _Problem(rows, settings, n_elements)
    names, number_of = np.unique(np.asarray(origins), return_inverse=True)
    strengths, everything = np.asarray(settings.regularisation, float), np.arange(len(rows))
    folds = _folds(number_of, min(settings.folds, len(names)))
    errors, left_out = np.zeros(len(strengths)), {}
    best = int(np.argmax(strengths))
    if len(folds) > 1:
        solutions = [problem.solve(np.setdiff1d(everything, fold), strengths) for fold in folds]
        losses = [problem.loss(fold, found) for fold, found in zip(folds, solutions, strict=True)]
        errors = np.sum(losses, axis=0) / len(rows)
        best = int(np.argmin(errors))
        left_out = problem.errors([(fold, found[:, best]) for fold, found in zip(folds, solutions, strict=True)])
    used = np.flatnonzero(np.isin(number_of, _draw(len(names), settings.share, rng)))
    coefficients = problem.solve(used, strengths[[best]])[:, 0]
    return Fit(problem.unscaled(coefficients), used, float(strengths[best]), errors.tolist(), left_out)


def _draw(size: int, share: float | None, rng: np.random.Generator) -> NDArray[np.int64]:
    if share is None:
        return np.arange(size)
    return rng.permutation(size)[: max(1, min(size, round(share * size)))]


def _folds(number_of: NDArray[np.int64], n_folds: int) -> list[NDArray[np.int64]]:
    """Return frames by fold, always the same ones."""
    order = np.random.default_rng(0).permutation(number_of.max() + 1)
    return [np.flatnonzero(np.isin(number_of, order[start::n_folds])) for start in range(n_folds)]


def _above_lowest(energies: FloatArray, contents: FloatArray) -> FloatArray:
    """Return energies above the lowest of the same composition, whose energies alone can be compared.

    :param contents: (n_frames, n_elements), share of each element.
    """
    _, kinds = np.unique(np.round(contents, 9), axis=0, return_inverse=True)
    lowest = np.full(len(energies), np.inf)
    np.minimum.at(lowest, kinds.ravel(), energies)
    return np.asarray(energies - lowest[kinds.ravel()])


class _Problem:
    """The weighted equations with columns of unit size, and normal equations of each frame."""

    def __init__(self, rows: Sequence[FrameEquations], settings: FitSettings, n_elements: int) -> None:
        self.rows = rows
        self.n, self.n_elements = len(rows[0].energy), n_elements
        known = np.array([row.known_energy for row in rows])
        # What all atoms have in common is no matter of the descriptors, and must not be regularised.
        self.level = float(known.mean())
        excess = _above_lowest(known, np.array([row.energy[:: self.n // n_elements] for row in rows]))
        share = np.ones(len(rows)) if settings.energy_scale is None else 1 / (1 + excess / settings.energy_scale)
        self.tables, self.targets = [], []
        for row, weight in zip(rows, share, strict=True):
            table, target = self._weighted(row, settings.tolerance, weight)
            self.tables.append(table)
            self.targets.append(target)
        self.scale = np.sqrt(np.mean([np.sum(table**2, axis=0) for table in self.tables], axis=0))
        self.scale[self.scale == 0] = 1.0
        self.normal = [(t / self.scale).T @ (t / self.scale) for t in self.tables]
        self.right = [(t / self.scale).T @ target for t, target in zip(self.tables, self.targets, strict=True)]

    def _weighted(
        self, row: FrameEquations, tolerance: Mapping[str, float], weight: float
    ) -> tuple[FloatArray, FloatArray]:
        # Energy, forces and virial of a frame weigh the same, however many numbers each of them is.
        parts = [
            (row.energy[None], np.array([row.known_energy - self.level]), 1 / tolerance['energy']),
            (row.forces, row.known_forces, 1 / tolerance['forces'] / np.sqrt(len(row.known_forces))),
        ]
        if np.isfinite(row.known_virial).all():
            parts.append((row.virial, row.known_virial, 1 / tolerance['virial'] / np.sqrt(6)))
        table = np.concatenate([weight * factor * part for part, _, factor in parts])
        return table, np.concatenate([weight * factor * known for _, known, factor in parts])

    def solve(self, frames: NDArray[np.int64], strengths: FloatArray) -> FloatArray:
        """Return (n_coefficients, n_strengths) scaled coefficients from some frames."""
        normal = np.sum([self.normal[index] for index in frames], axis=0)
        right = np.sum([self.right[index] for index in frames], axis=0)
        values, vectors = eigh(normal)
        projected = vectors.T @ right
        # Each scaled column has a mean square of one per frame.
        penalty = strengths * len(frames)
        return np.asarray(vectors @ (projected[:, None] / (np.maximum(values, 0)[:, None] + penalty)))

    def loss(self, frames: NDArray[np.int64], scaled: FloatArray) -> FloatArray:
        """Return (n_strengths,) sums over frames of squared weighted errors."""
        total = np.zeros(scaled.shape[1])
        for index in frames:
            residual = (self.tables[index] / self.scale) @ scaled - self.targets[index][:, None]
            total += np.sum(residual**2, axis=0)
        return total

    def errors(self, predictions: Sequence[tuple[NDArray[np.int64], FloatArray]]) -> dict[str, float]:
        """Return root mean square errors on frames, each with the coefficients of those that do not contain it."""
        energy, forces, virial = [], [], []
        for frames, scaled in predictions:
            coefficients = scaled / self.scale
            for index in frames:
                row = self.rows[index]
                energy.append(row.energy @ coefficients + self.level - row.known_energy)
                forces.append(row.forces @ coefficients - row.known_forces)
                virial.append(row.virial @ coefficients - row.known_virial)
        found = {
            'energy': _rms(np.array(energy)),
            'energy_shifted': _rms(np.array(energy) - np.mean(energy)),
            'forces': _rms(np.concatenate(forces)),
            'n_frames': float(len(energy)),
        }
        known = np.concatenate(virial)[np.isfinite(np.concatenate(virial))]
        return found | ({'virial': _rms(known)} if len(known) else {})

    def unscaled(self, scaled: FloatArray) -> FloatArray:
        """Return the coefficients of the force field, with what all atoms have in common."""
        coefficients = scaled / self.scale
        coefficients[:: self.n // self.n_elements] += self.level
        return coefficients


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))
