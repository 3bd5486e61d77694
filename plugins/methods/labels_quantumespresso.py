"""From what aiida-quantumespresso parses to labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_prospect.common.enums import LabelStatus
from aiida_prospect.common.units import stress_from_quantumespresso
from aiida_prospect.methods.labels import Run

UNITS = {'energy_units': 'eV', 'forces_units': 'ev / angstrom', 'stress_units': 'GPascal'}


def read_run(parameters: Mapping[str, Any], forces: NDArray[np.float64], stress: NDArray[np.float64]) -> Run:
    """Return the label that a run of pw.x gives.

    With smearing the energy that pw.x calls total, ``energy`` here, contains the −TS of the smearing
    (``energy_smearing``): it is the free energy, and of that the forces and the stress are the derivatives
    (de Gironcoli, Phys. Rev. B 51, 6773 (1995)). So it must not be extrapolated to vanishing smearing.

    :param parameters: ``output_parameters`` of a run.
    :param forces: (k, n, 3), eV/Å; the last of the k is meant.
    :param stress: (k, 3, 3), GPa, as pw.x prints it; likewise.
    :raises ValueError: if a unit is not the expected one.
    """
    for key, unit in UNITS.items():
        if parameters.get(key, unit) != unit:
            raise ValueError(f'`{key}` is {parameters[key]!r}, expected {unit!r}')
    if not parameters.get('convergence_info', {}).get('scf_conv', {}).get('convergence_achieved', False):
        return Run(LabelStatus.UNCONVERGED, 'the run does not say that it reached self-consistency')
    return Run(
        LabelStatus.OK,
        energy=float(parameters['energy']),
        forces=np.asarray(forces)[-1],
        stress=stress_from_quantumespresso(np.asarray(stress)[-1]),
    )
