"""Quantum ESPRESSO with cheap settings as a surface, for the row with true labels."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from aiida_prospect.methods.pw_calculator import PwCalculator

# From Debian's `quantum-espresso-data`: norm-conserving, PBE.
PSEUDOPOTENTIAL = Path('/usr/share/espresso/pseudo/Si.pbe-rrkj.UPF')
CUTOFF = 12.0
KPOINTS_DISTANCE = 0.4
PARAMETERS = {
    'CONTROL': {'disk_io': 'none'},
    'SYSTEM': {
        'ecutwfc': CUTOFF,
        'ecutrho': 4 * CUTOFF,
        'occupations': 'smearing',
        'smearing': 'cold',
        'degauss': 0.01,
        'nosym': True,
    },
    'ELECTRONS': {'electron_maxstep': 100, 'mixing_beta': 0.5},
}


class CheapSilicon(PwCalculator):
    """Silicon in PBE, plane waves up to 12 Ry, k-points 0.4/Å apart, on one core.

    :raises FileNotFoundError: if pw.x or the pseudopotential is not there.
    """

    def __init__(self) -> None:
        self._kept = TemporaryDirectory(prefix='pw-of-benchmark-')
        shutil.copy(PSEUDOPOTENTIAL, self._kept.name)
        super().__init__(
            command='pw.x',
            parameters=PARAMETERS,
            pseudopotentials={'Si': PSEUDOPOTENTIAL.name},
            kpoints_distance=KPOINTS_DISTANCE,
            conv_thr_per_atom=1e-7,
            folder=Path(self._kept.name),
        )
