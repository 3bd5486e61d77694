"""How far the spread of an ensemble can be trusted: true errors of labels that the ensemble had not seen.

A frame that is sent to be labelled carries what the ensemble of that moment said of it: its energy in
``energy_initial``, the spreads in ``energy_spread`` and ``forces_spread``. Once labelled, it is a sample of the error.
Frames that were displaced after the prediction carry none and do not count.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aiida_prospect.common.enums import LabelStatus
from aiida_prospect.common.frames import Frames

# The median of |x| of a normal distribution of width 1.
MEDIAN_OF_NORMAL = 0.6745


@dataclass(frozen=True)
class Calibration:
    """True errors against spreads; NaN where too few labels carry a prediction.

    :param n_labels: number of labels compared.
    :param error: median of the absolute error of the energy, eV per atom.
    :param spread: median of the ensemble's standard deviation of the energy, eV per atom.
    :param ratio: true standard deviation of the energy in units of the spread, by medians (robust against a few
        failures); 1 for an honest ensemble, above 1 for one that is too sure of itself.
    :param error_per_force_spread: median of the error of the energy per atom by the largest force spread of the frame,
        Å.
    """

    n_labels: int = 0
    error: float = float('nan')
    spread: float = float('nan')
    ratio: float = float('nan')
    error_per_force_spread: float = float('nan')


def usable_labels(labels: Frames) -> np.ndarray:
    """Return the (n_frames,) mask of frames that have been labelled with success."""
    energy = labels.energy if labels.energy is not None else np.full(len(labels), np.nan)
    usable = np.isfinite(energy)
    return usable & (labels.status == str(LabelStatus.OK)) if labels.status is not None else usable


def calibrate(labels: Frames, minimum: int = 5) -> Calibration:
    """Compare labels with what was predicted for them.

    :param labels: frames as labelled, see the module.
    :param minimum: fewer samples than this say nothing.
    """
    if labels.energy_initial is None or labels.energy_spread is None or labels.energy is None:
        return Calibration()
    n_atoms = labels.n_atoms
    error = np.abs(labels.energy - labels.energy_initial) / n_atoms
    spread = labels.energy_spread / n_atoms
    known = usable_labels(labels) & np.isfinite(error) & np.isfinite(spread) & (spread > 0)
    if known.sum() < minimum:
        return Calibration(n_labels=int(known.sum()))
    per_force = float('nan')
    if labels.forces_spread is not None:
        deviation = labels.max_over_atoms(labels.forces_spread)
        sampled = known & np.isfinite(deviation) & (deviation > 0)
        per_force = float(np.median(error[sampled] / deviation[sampled])) if sampled.any() else per_force
    return Calibration(
        n_labels=int(known.sum()),
        error=float(np.median(error[known])),
        spread=float(np.median(spread[known])),
        ratio=float(np.median(error[known] / spread[known]) / MEDIAN_OF_NORMAL),
        error_per_force_spread=per_force,
    )
