"""From what aiida-quantumespresso parses to labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_prospect.common.enums import LabelStatus
from aiida_prospect.common.units import EV_PER_RYDBERG, stress_from_quantumespresso
from aiida_prospect.methods.label_settings import smearing_name
from aiida_prospect.methods.labels import Run

SPINS = {1: 'none', 2: 'collinear', 4: 'noncollinear'}
UNITS = {'energy_units': 'eV', 'forces_units': 'ev / angstrom', 'stress_units': 'GPascal'}


def read_run(
    parameters: Mapping[str, Any], forces: NDArray[np.float64] | None, stress: NDArray[np.float64] | None
) -> Run:
    """Return the label that a run of pw.x gives.

    With smearing the energy that pw.x calls total, ``energy`` here, contains the −TS of the smearing
    (``energy_smearing``): it is the free energy, and of that the forces and the stress are the derivatives
    (de Gironcoli, Phys. Rev. B 51, 6773 (1995)). So it must not be extrapolated to vanishing smearing.

    :param parameters: ``output_parameters`` of a run.
    :param forces: (k, n, 3), eV/Å; the last of the k is meant. Without them the run has failed.
    :param stress: (k, 3, 3), GPa, as pw.x prints it; likewise. ``None`` if it was not computed.
    :raises ValueError: if a unit is not the expected one.
    """
    for key, unit in UNITS.items():
        if parameters.get(key, unit) != unit:
            raise ValueError(f'`{key}` is {parameters[key]!r}, expected {unit!r}')
    if not parameters.get('convergence_info', {}).get('scf_conv', {}).get('convergence_achieved', False):
        return Run(LabelStatus.UNCONVERGED, 'the run does not say that it reached self-consistency')
    if forces is None:
        return Run(LabelStatus.FAILED, 'the run has no forces')
    return Run(
        LabelStatus.OK,
        energy=float(parameters['energy']),
        forces=np.asarray(forces)[-1],
        stress=None if stress is None else stress_from_quantumespresso(np.asarray(stress)[-1]),
    )


def input_settings(system: Mapping[str, Any], pseudopotentials: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings in an input of pw.x, see :mod:`~aiida_prospect.methods.label_settings`.

    :param system: the namelist, with ``ecutwfc`` in Ry.
    :param pseudopotentials: MD5 sums by element.
    """
    ecutwfc = system.get('ecutwfc')
    ecutrho = system.get('ecutrho', None if ecutwfc is None else 4 * ecutwfc)
    occupations = system.get('occupations', 'fixed')
    is_smeared = occupations == 'smearing'
    extras = {key: str(system[key]) for key in ('vdw_corr', 'Hubbard_U', 'lda_plus_u') if system.get(key)}
    return {
        'code': 'quantumespresso',
        'functional': str(system['input_dft']).upper() if 'input_dft' in system else None,
        'pseudopotentials': dict(pseudopotentials),
        'ecutwfc': None if ecutwfc is None else ecutwfc * EV_PER_RYDBERG,
        'ecutrho': None if ecutrho is None else ecutrho * EV_PER_RYDBERG,
        'smearing': smearing_name(system.get('smearing', 'gaussian')) if is_smeared else str(occupations),
        'degauss': system.get('degauss', 0.0) * EV_PER_RYDBERG if is_smeared else None,
        'spin': 'noncollinear' if system.get('noncolin') else SPINS.get(system.get('nspin', 1)),
        'extras': extras,
    }
