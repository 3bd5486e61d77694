"""From what aiida-vasp parses to labels, and the settings in an INCAR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO, Any
from xml.etree import ElementTree

import numpy as np

from aiida_prospect.common.enums import LabelStatus
from aiida_prospect.common.units import stress_from_vasp
from aiida_prospect.methods.labels import Run

# ISMEAR, VASP manual; what is not here is Methfessel-Paxton, also where it is not given.
SMEARINGS = {-5: 'tetrahedron', -4: 'tetrahedron', -2: 'fixed', -1: 'fermi-dirac', 0: 'gaussian'}
DEFAULTS = {'ismear': 1, 'sigma': 0.2, 'ispin': 1}
# GGA, VASP manual; and for what a POTCAR is made, by the first word of its title.
FUNCTIONALS = {'PE': 'PBE', 'PS': 'PBESOL', 'RP': 'RPBE', '91': 'PW91', 'CA': 'LDA'}
FUNCTIONALS_OF_POTCARS = {'PAW_PBE': 'PBE', 'PAW_GGA': 'PW91', 'PAW': 'LDA'}
SWITCHES = ('lhfcalc', 'luse_vdw')
WORDS = ('ivdw', 'metagga')


def read_run(misc: Mapping[str, Any], free_energy: float | None = None) -> Run:
    """Return the label that a run of VASP gives.

    The energy is VASP's free energy, ``free energy TOTEN`` in OUTCAR and ``e_fr_energy`` in vasprun.xml, whose
    derivatives forces and stress are (VASP manual, "ISMEAR"); not the one extrapolated to vanishing smearing, which
    VASP prints as ``energy(sigma->0)``.

    :param misc: output of a run; forces in eV/Å, stress in kbar with VASP's sign.
    :param free_energy: eV, if it is not parsed among the ``total_energies`` of ``misc``.
    """
    status = misc.get('run_status', {})
    if not (status.get('finished') and status.get('electronic_converged')):
        return Run(LabelStatus.UNCONVERGED, 'the run does not say that it reached self-consistency')
    energy, forces = misc.get('total_energies', {}).get('energy_free', free_energy), misc.get('forces')
    if energy is None or forces is None:
        return Run(LabelStatus.FAILED, 'the run does not tell the free energy and the forces')
    stress = misc.get('stress')
    return Run(
        LabelStatus.OK,
        energy=float(energy),
        forces=np.asarray(forces, dtype=float),
        stress=None if stress is None else stress_from_vasp(stress),
    )


def last_free_energy(vasprun: IO[bytes]) -> float | None:
    """Return the free energy of the last step in a ``vasprun.xml``, eV; ``None`` if there is none."""
    energy = None
    try:
        for _, element in ElementTree.iterparse(vasprun):
            if element.tag == 'calculation':
                told = element.find("./energy/i[@name='e_fr_energy']")
                energy = None if told is None or told.text is None else float(told.text)
                element.clear()
    except ElementTree.ParseError:
        return None
    return energy


def incar_settings(tags: Mapping[str, Any], potcars: Mapping[str, str], species: Sequence[str] = ()) -> dict[str, Any]:
    """Return the settings in an INCAR, see :mod:`~aiida_prospect.methods.label_settings`.

    POTCARs are compared by their titles, which have a date. Their sums differ also between releases in which nothing
    but the checksums in them was added.

    :param tags: as numbers, words and truth values, or as text; what is missing is what VASP takes then. The cut-off
        it takes from POTCARs, so without ``encut`` it is not known.
    :param potcars: titles by element.
    :param species: elements in the order of ``ldauu``.
    """
    known = {str(tag).lower(): value for tag, value in tags.items() if value is not None}
    kind = int(known.get('ismear', DEFAULTS['ismear']))
    is_noncollinear = _is_true(known.get('lnoncollinear')) or _is_true(known.get('lsorbit'))
    is_polarised = int(known.get('ispin', DEFAULTS['ispin'])) == 2
    return {
        'code': 'vasp',
        'functional': _functional(str(known.get('gga', '')).strip().upper(), potcars),
        'pseudopotentials': dict(potcars),
        'ecutwfc': float(known['encut']) if 'encut' in known else None,
        'smearing': SMEARINGS.get(kind, 'methfessel-paxton'),
        'degauss': float(known.get('sigma', DEFAULTS['sigma'])) if kind >= -1 else None,
        'spin': 'noncollinear' if is_noncollinear else 'collinear' if is_polarised else 'none',
        'extras': _extras(known, species),
    }


def _functional(gga: str, potcars: Mapping[str, str]) -> str | None:
    if gga.strip('-'):
        return FUNCTIONALS.get(gga, gga)
    made_for = {FUNCTIONALS_OF_POTCARS.get(title.split()[0]) for title in potcars.values() if title.strip()}
    return made_for.pop() if len(made_for) == 1 else None


def _extras(known: Mapping[str, Any], species: Sequence[str]) -> dict[str, str]:
    """Return dispersion, hybrids, meta-GGA, and the U of each element, eV."""
    extras = {tag: 'yes' for tag in SWITCHES if _is_true(known.get(tag))}
    words = {tag: str(known.get(tag, '')).strip().upper() for tag in WORDS}
    extras |= {tag: word for tag, word in words.items() if word.strip('-') not in ('', '0', 'NONE')}
    if _is_true(known.get('ldau')):
        values = known.get('ldauu', [])
        numbers = [float(value) for value in (values.split() if isinstance(values, str) else np.ravel(values))]
        extras |= {f'U of {element}': f'{u:g} eV' for element, u in zip(species, numbers, strict=False) if u}
    return extras


def _is_true(value: Any) -> bool:
    return str(value).strip().strip('.').upper() in ('T', 'TRUE')
