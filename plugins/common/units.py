"""Units and signs at the border to other programs.

Inside the package everything is in eV, Å, eV/Å, eV/Å³, K and fs. Stress has ASE's sign, positive when the crystal is
under tension: it is the derivative of the energy by the strain, divided by the volume. The virial, which DeePMD-kit
trains on, is minus the stress times the volume. Constants: CODATA 2022 by way of :mod:`scipy.constants`.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import constants

FloatArray = NDArray[np.float64]

EV_PER_ANGSTROM3_PER_GPA = constants.giga * constants.angstrom**3 / constants.electron_volt
EV_PER_ANGSTROM3_PER_KBAR = EV_PER_ANGSTROM3_PER_GPA / 10
EV_PER_RYDBERG = constants.value('Rydberg constant times hc in eV')
# What aiida-quantumespresso converts energies with: CODATA 2006, in its dependency qe-tools 2.3.
EV_PER_RYDBERG_OF_QE_TOOLS = 13.6056917253
ANGSTROM_PER_BOHR = constants.value('Bohr radius') / constants.angstrom


def virial_from_stress(stress: FloatArray, volume: FloatArray) -> FloatArray:
    """Convert to DeePMD-kit's virial.

    :param stress: (n, 3, 3), eV/Å³, positive under tension.
    :param volume: (n,), Å³.
    :return: (n, 3, 3), eV, positive under compression.
    """
    return -stress * np.asarray(volume)[..., None, None]


def stress_from_virial(virial: FloatArray, volume: FloatArray) -> FloatArray:
    """Convert from DeePMD-kit's virial, see :func:`virial_from_stress`."""
    return -virial / np.asarray(volume)[..., None, None]


def stress_from_quantumespresso(stress: FloatArray) -> FloatArray:
    """Convert what aiida-quantumespresso parses from pw.x.

    :param stress: (..., 3, 3), GPa; pw.x prints σ = −(1/Ω) dE/dε, positive under compression (Nielsen and Martin,
        Phys. Rev. B 32, 3780 (1985)).
    :return: (..., 3, 3), eV/Å³, positive under tension.
    """
    return -np.asarray(stress, dtype=float) * EV_PER_ANGSTROM3_PER_GPA


def stress_from_vasp(stress: FloatArray) -> FloatArray:
    """Convert the ``stress`` array of vasprun.xml.

    :param stress: (..., 3, 3), kbar, positive when the cell wants to expand (VASP manual, "ISIF").
    :return: (..., 3, 3), eV/Å³, positive under tension.
    """
    return -np.asarray(stress, dtype=float) * EV_PER_ANGSTROM3_PER_KBAR
