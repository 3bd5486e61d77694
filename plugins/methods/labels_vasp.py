"""From what aiida-vasp parses to labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from aiida_prospect.common.enums import LabelStatus
from aiida_prospect.common.units import stress_from_vasp
from aiida_prospect.methods.labels import Run


def read_run(misc: Mapping[str, Any]) -> Run:
    """Return the label that a run of VASP gives.

    The energy is VASP's free energy, ``free energy TOTEN`` in OUTCAR and ``e_fr_energy`` in vasprun.xml, whose
    derivatives forces and stress are (VASP manual, "ISMEAR"); not the one extrapolated to vanishing smearing, which
    VASP prints as ``energy(sigma->0)``.

    :param misc: output of a run, parsed with the free energy among the ``total_energies``; forces in eV/Å, stress in
        kbar with VASP's sign.
    """
    status = misc.get('run_status', {})
    if not (status.get('finished') and status.get('electronic_converged')):
        return Run(LabelStatus.UNCONVERGED, 'the run does not say that it reached self-consistency')
    energy, forces = misc.get('total_energies', {}).get('energy_free'), misc.get('forces')
    if energy is None or forces is None:
        return Run(LabelStatus.FAILED, 'the run does not tell the free energy and the forces')
    stress = misc.get('stress')
    return Run(
        LabelStatus.OK,
        energy=float(energy),
        forces=np.asarray(forces, dtype=float),
        stress=None if stress is None else stress_from_vasp(stress),
    )
