"""What an ensemble said of candidates, beside what their labels say: errors on what it had not been trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aiida_prospect.common.frames import FloatArray, Frames
from aiida_prospect.methods.calibration import usable_labels

QUANTITIES = ('energy', 'forces', 'stress')
# Candidates that moved by less than this, Å, are where the ensemble saw them.
UNMOVED = 1e-6


@dataclass(frozen=True)
class Comparison:
    """Predictions of one quantity for the new labels of a cycle.

    :param predicted: (n,), eV/atom, eV/Å or eV/Å³; forces and stresses by components.
    :param true: (n,), the same of the labels.
    :param n_labels: labels of the cycle that have the quantity.
    :param n_compared: those among them for which a prediction is stored.
    """

    cycle: int
    predicted: FloatArray
    true: FloatArray
    n_labels: int
    n_compared: int

    @property
    def mean_error(self) -> float:
        """Mean absolute error, NaN if nothing is compared."""
        return float(np.mean(np.abs(self.predicted - self.true))) if len(self.true) else float('nan')


def seen_by_ensemble(labels: Frames, pool: Frames) -> np.ndarray:
    """Return the (n_labels,) mask of labels whose very positions an ensemble evaluated in a pool.

    Candidates that were displaced before they were labelled are not among them, nor is any of a pool that no ensemble
    has seen.

    :param labels: with ``source``, the frame of the pool.
    """
    if pool.energy is None or labels.source is None:
        return np.zeros(len(labels), dtype=bool)
    seen = np.zeros(len(labels), dtype=bool)
    for index, source in enumerate(labels.source.tolist()):
        if not 0 <= source < len(pool) or not np.isfinite(pool.energy[source]):
            continue
        label, before = labels[index], pool[source]
        seen[index] = (
            len(label.numbers) == len(before.numbers)
            and np.allclose(label.positions, before.positions, rtol=0, atol=UNMOVED)
            and np.allclose(label.cells, before.cells, rtol=0, atol=UNMOVED)
        )
    return seen


def compare(cycle: int, labels: Frames, pool: Frames) -> dict[str, Comparison]:
    """Compare the new labels of a cycle with what the ensemble before had said of them.

    :param pool: that the candidates were chosen from, as the ensemble left it.
    :return: for each of :data:`QUANTITIES`.
    """
    usable = usable_labels(labels)
    seen = usable & seen_by_ensemble(labels, pool)
    rows = np.flatnonzero(seen)
    sources = labels.known('source')[rows] if len(rows) else rows
    chosen, before = labels.select(rows), pool.select(sources)
    result = {}
    for name in QUANTITIES:
        true, predicted = _values(chosen, name), _values(before, name)
        known = np.isfinite(true) & np.isfinite(predicted) if len(true) == len(predicted) else np.zeros(0, bool)
        compared = len(rows) if known.any() else 0
        pairs = (predicted[known], true[known]) if known.any() else (np.empty(0), np.empty(0))
        result[name] = Comparison(cycle, *pairs, n_labels=int(usable.sum()), n_compared=compared)
    return result


def _values(frames: Frames, name: str) -> FloatArray:
    if not len(frames) or getattr(frames, name) is None:
        return np.empty(0)
    if name == 'energy':
        return np.asarray(frames.energy_per_atom)
    if name == 'stress':
        # A symmetric tensor has six components.
        rows, columns = np.triu_indices(3)
        return np.asarray(frames.known('stress')[:, rows, columns].ravel())
    return np.asarray(frames.known(name).ravel())
