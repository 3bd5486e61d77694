"""When a relaxation has ended, and why."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aiida_prospect.common.enums import LabelStatus, RelaxStatus
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.relaxation.settings import RelaxSettings, Sanity, Uncertainty
from aiida_prospect.methods.relaxation.state import Flight
from aiida_prospect.methods.relaxation.vectors import FloatArray

Ending = tuple[RelaxStatus, str]


def endings(flight: Flight, evaluated: Frames, fmax: FloatArray, settings: RelaxSettings) -> dict[int, Ending]:
    """Return status and reason of the relaxations that have ended, by their place in the flight.

    :param evaluated: the present frames.
    :param fmax: (m,), largest forces on an atom or on the cell, eV/Å.
    """
    ratio, uncertain = disagreement(evaluated, settings.uncertainty)
    stale = flight.steps - flight.lowest_step
    failed = (evaluated.known('status') == LabelStatus.FAILED.value) | ~np.isfinite(fmax)
    too_low = in_a_hole(evaluated, settings.sanity)
    converged = fmax < settings.fmax
    given_up = (stale >= settings.patience) | (flight.steps >= settings.max_steps)
    found: dict[int, Ending] = {}
    for row in np.flatnonzero(failed | too_low | converged | uncertain | given_up).tolist():
        if failed[row]:
            words = str(evaluated.known('reason')[row]) or 'energy, forces or stress are not finite'
            found[row] = (RelaxStatus.UNPHYSICAL, words)
        elif too_low[row]:
            words = f'the energy fell to {evaluated.energy_per_atom[row]:.3f} eV/atom'
            found[row] = (RelaxStatus.UNPHYSICAL, words)
        elif converged[row]:
            found[row] = (RelaxStatus.CONVERGED, f'largest force {fmax[row]:.3g} eV/Å')
        elif uncertain[row]:
            words = f'the potentials disagree by {ratio[row]:.2g} times the largest force'
            found[row] = (RelaxStatus.UNCERTAIN, words)
        elif stale[row] >= settings.patience:
            found[row] = (RelaxStatus.NO_PROGRESS, f'{stale[row]} steps without a lower enthalpy')
        else:
            found[row] = (RelaxStatus.MAX_STEPS, f'largest force {fmax[row]:.3g} eV/Å')
    return found


def in_a_hole(evaluated: Frames, limits: Sanity) -> NDArray[np.bool_]:
    """Return which of the (m,) energies are too low to be true."""
    if limits.lowest_energy is None:
        return np.zeros(len(evaluated), dtype=bool)
    return np.asarray(evaluated.energy_per_atom < limits.lowest_energy)


def disagreement(evaluated: Frames, limits: Uncertainty | None) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return the (m,) largest spreads of a force over the largest force, and whether that is too much."""
    if limits is None or evaluated.forces_spread is None:
        return np.zeros(len(evaluated)), np.zeros(len(evaluated), dtype=bool)
    spread = evaluated.max_over_atoms(evaluated.forces_spread)
    force = evaluated.max_force
    ratio = spread / np.where(force > 0, force, 1e-12)
    return ratio, (ratio >= limits.ratio) & (spread >= limits.floor)
