"""Selection by a trust window on the deviation of forces.

After DP-GEN: Zhang et al., Comput. Phys. Commun. 253, 107206 (2020).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aiida_prospect.common.frames import FloatArray
from aiida_prospect.methods.clusters import UNCERTAIN
from aiida_prospect.methods.selection.base import Choice, SelectionRequest, spread_out


@dataclass(frozen=True)
class UncertaintySettings:
    """Bounds of the trust window.

    :param lower: below it a frame is known well enough, eV/Å; used until the spread can be calibrated.
    :param upper: above it a frame is too odd to be worth a label, eV/Å; used until the spread can be calibrated, and
        then raised to the median of the pool, because the first ensembles disagree about nearly everything.
    :param accurate_error: error of the energy at the calibrated lower bound, eV per atom.
    :param failed_error: error of the energy at the calibrated upper bound, eV per atom.
    """

    lower: float = 0.05
    upper: float = 0.35
    accurate_error: float = 0.005
    failed_error: float = 0.2


def select(request: SelectionRequest) -> list[Choice]:
    """Choose at random among the minima and uncertain frames in the trust window.

    Before there are energies, or where none is of use, the choices are spread out.

    Once at least five labels carry a prediction, the bounds follow from their true errors: the force deviation at which
    the median error reaches ``accurate_error`` and ``failed_error``.
    """
    settings = request.settings(UncertaintySettings)
    if not request.explored or request.is_lost:
        return spread_out(request)
    deviation = request.force_deviation
    considered = np.zeros(len(request.pool), dtype=bool)
    considered[request.clusters.representatives] = True
    considered[request.clusters.labels == UNCERTAIN] = True
    considered &= request.eligible & np.isfinite(deviation)
    lower, upper = trust_window(request, settings, deviation[considered])
    window = np.flatnonzero(considered & (deviation >= lower) & (deviation <= upper))
    chosen = request.rng.permutation(window)[: request.n_select]
    return [
        Choice(int(i), f'in the trust window {lower:.2f} to {upper:.2f} eV/Å: {request.describe(int(i))}')
        for i in chosen
    ]


def trust_window(
    request: SelectionRequest, settings: UncertaintySettings, deviations: FloatArray
) -> tuple[float, float]:
    """Return the lower and upper bound of the force deviation, eV/Å.

    :param deviations: of the frames that may be chosen, eV/Å.
    """
    slope = request.calibration.error_per_force_spread
    if np.isfinite(slope) and slope > 0:
        return settings.accurate_error / slope, settings.failed_error / slope
    return settings.lower, max(settings.upper, float(np.median(deviations)) if len(deviations) else 0.0)
