"""Labelled frames, and the settings that they were made with, from the output files of VASP and Quantum ESPRESSO.

ASE reads them. The energy is the free energy of the smeared electrons, of which forces and stress are the derivatives:
VASP's ``e_fr_energy``, and what pw.x calls total energy.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from ase import Atoms

from aiida_prospect.common.enums import LabelStatus
from aiida_prospect.common.frames import Frames
from aiida_prospect.common.units import EV_PER_RYDBERG
from aiida_prospect.methods.label_settings import functional_name, smearing_name
from aiida_prospect.methods.labels_vasp import incar_settings

NOT_CONVERGED = 'the self-consistency was not reached'
# With the values that VASP takes where INCAR does not say; the cut-off is called ENMAX.
VASP_PARAMETERS = ('ENMAX', 'ISMEAR', 'SIGMA', 'ISPIN', 'LNONCOLLINEAR', 'GGA')
PW_NUMBERS = {
    'ecutwfc': r'kinetic-energy cutoff\s*=\s*([\d.]+)\s*Ry',
    'ecutrho': r'charge density cutoff\s*=\s*([\d.]+)\s*Ry',
    'degauss': r'smearing, width \(Ry\)\s*=\s*([\d.]+)',
}
PW_PSEUDO = re.compile(r'PseudoPot\. #\s*\d+ for ([A-Z][a-z]?).*?MD5 check sum:\s*([0-9a-f]{32})', re.DOTALL)


def read_vasprun(path: Path) -> Frames:
    """Read all steps of a ``vasprun.xml``; a step whose electrons did not converge has a status that says so.

    :raises ValueError: if the file makes no sense or is not complete.
    """
    structures = _read(path, 'vasp-xml')
    root = _root(path)
    limit = _vasp_parameter(root, 'NELM')
    steps = [len(step.findall('scstep')) for step in root.iter('calculation')]
    if len(steps) != len(structures):
        raise ValueError(f'`{path}` has {len(steps)} steps, but {len(structures)} structures')
    return _labelled(structures, [limit is not None and count >= int(limit) for count in steps])


def vasprun_settings(path: Path) -> dict[str, Any]:
    """Return the settings in a ``vasprun.xml``: those that VASP took itself, too."""
    root = _root(path)
    taken = {name.lower(): _vasp_parameter(root, name) for name in VASP_PARAMETERS}
    given = {str(item.get('name')).lower(): item.text for item in root.findall('./incar/*')}
    cells = [row.findall('c') for row in root.findall("./atominfo/array[@name='atomtypes']/set/rc")]
    kinds = [((row[1].text or '').strip(), (row[4].text or '').strip()) for row in cells]
    tags = {**given, **{tag: value for tag, value in taken.items() if value is not None}, 'encut': taken['enmax']}
    return incar_settings(tags, dict(kinds), [element for element, _ in kinds])


def _root(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except ElementTree.ParseError as exception:
        raise ValueError(f'`{path}` is no complete vasprun.xml: {exception}') from exception


def _vasp_parameter(root: ElementTree.Element, name: str) -> str | None:
    found = root.find(f"./parameters//i[@name='{name}']")
    return None if found is None or found.text is None else found.text.strip()


def read_pw_output(path: Path) -> Frames:
    """Read all steps of an output of pw.x.

    :raises ValueError: if the file makes no sense, or a self-consistency was not reached.
    """
    if 'convergence NOT achieved' in path.read_text(errors='replace'):
        raise ValueError(f'`{path}`: {NOT_CONVERGED}')
    structures = _read(path, 'espresso-out')
    return _labelled(structures, [False] * len(structures))


def pw_output_settings(path: Path) -> dict[str, Any]:
    """Return the settings that pw.x tells at the beginning of its output."""
    text = path.read_text(errors='replace')
    numbers = {key: re.search(pattern, text) for key, pattern in PW_NUMBERS.items()}
    functional = re.search(r'Exchange-correlation\s*=\s*(.+?)(?:\(|\n)', text)
    smearing = re.search(r'(\S+)\s+smearing, width', text)
    spin = 'noncollinear' if 'Noncollinear calculation' in text or 'Non magnetic calculation with' in text else None
    if spin is None:
        spin = 'collinear' if 'Starting magnetic structure' in text or '------ SPIN UP' in text else 'none'
    return {
        'code': 'quantumespresso',
        'functional': functional_name(functional[1]) if functional else None,
        'pseudopotentials': dict(PW_PSEUDO.findall(text)),
        **{key: float(found[1]) * EV_PER_RYDBERG if found else None for key, found in numbers.items()},
        'smearing': smearing_name(smearing[1]) if smearing else None,
        'spin': spin,
    }


def _read(path: Path, format: str) -> list[Atoms]:
    from ase.io import read

    try:
        structures = read(path, index=':', format=format)
    except (OSError, ValueError, KeyError, IndexError, AssertionError, StopIteration) as exception:
        raise ValueError(f'`{path}` cannot be read as {format}: {type(exception).__name__}: {exception}') from exception
    return structures if isinstance(structures, list) else [structures]


def _labelled(structures: list[Atoms], unconverged: list[bool]) -> Frames:
    energy, forces, stress, status, reason = [], [], [], [], []
    for atoms, broken in zip(structures, unconverged, strict=True):
        known = {} if atoms.calc is None else atoms.calc.results
        energy.append(known.get('free_energy', known.get('energy', np.nan)))
        forces.append(known.get('forces', np.full((len(atoms), 3), np.nan)))
        stress.append(_full(known.get('stress')))
        status.append(str(LabelStatus.UNCONVERGED if broken else LabelStatus.OK))
        reason.append(NOT_CONVERGED if broken else '')
    return Frames.from_atoms(
        structures, energy=energy, forces=np.concatenate(forces), stress=stress, status=status, reason=reason
    )


def _full(stress: np.ndarray | None) -> np.ndarray:
    from ase.stress import voigt_6_to_full_3x3_stress

    if stress is None:
        return np.full((3, 3), np.nan)
    return np.asarray(stress if np.shape(stress) == (3, 3) else voigt_6_to_full_3x3_stress(stress))
