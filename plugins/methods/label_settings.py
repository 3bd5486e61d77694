"""With which settings labels were made, as far as it is known, and whether those of several sources fit together.

Settings are plain dictionaries. What is compared, by name:

====================  =======================================================================================
``code``              program, ``quantumespresso`` or ``vasp``; energies of two have different zeros.
``functional``        name.
``pseudopotentials``  by element: MD5 sum, or title.
``ecutwfc``           of the plane waves, eV.
``ecutrho``           of the density, eV.
``kpoints_distance``  [a, b): the distances that give the mesh of k-points that was used, 1/Å with 2π.
``smearing``          kind, see :data:`SMEARINGS`, or ``fixed``.
``degauss``           width of the smearing, eV.
``spin``              ``none``, ``collinear`` or ``noncollinear``.
``extras``            further choices that change energies: dispersion, Hubbard U.
====================  =======================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aiida_prospect.common.frames import FloatArray

SCALARS = ('code', 'functional', 'ecutwfc', 'ecutrho', 'smearing', 'degauss', 'spin', 'extras')
UNITS = {'ecutwfc': ' eV', 'ecutrho': ' eV', 'degauss': ' eV'}
SMEARINGS = {
    'gaussian': ('gaussian', 'gauss', 'gaussian smearing'),
    'methfessel-paxton': ('methfessel-paxton', 'm-p', 'mp'),
    'cold': ('cold', 'marzari-vanderbilt', 'm-v', 'mv'),
    'fermi-dirac': ('fermi-dirac', 'f-d', 'fd'),
}
LONG_NAMES = {'SLA PW PBX PBC': 'PBE', 'SLA PW PBE PBE': 'PBE', 'SLA PW PSX PSC': 'PBESOL'}
MOST_NAMED = 3
# Å.
EQUAL_EDGES = 1e-4


def smearing_name(name: str) -> str:
    """Return the one name of a kind of smearing that has several."""
    return next((kind for kind, names in SMEARINGS.items() if name.strip().lower() in names), name.strip().lower())


def functional_name(name: str) -> str:
    """Return the short name of a functional of Quantum ESPRESSO."""
    words = ' '.join(name.upper().replace('+', ' ').split())
    return LONG_NAMES.get(words, words)


def spacing_interval(cell: FloatArray, mesh: Sequence[int]) -> tuple[float, float]:
    """Return between which distances of k-points a mesh lies: n = ⌈|b| / d⌉ for every reciprocal vector b.

    :param cell: (3, 3), Å.
    :return: the smallest distance that gives the mesh, 1/Å with 2π, and the smallest that gives a coarser one;
        infinity if no distance gives a coarser one, and an empty interval, whose start is above its end, if none at
        all gives this mesh.
    """
    lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(np.asarray(cell, dtype=float)).T, axis=1)
    numbers = np.asarray(mesh, dtype=int)
    above = [length / (n - 1) if n > 1 else math.inf for length, n in zip(lengths, numbers, strict=True)]
    edges = np.linalg.norm(cell, axis=1)
    # To cells with edges of one length aiida-quantumespresso gives the largest of the three numbers in each direction.
    isotropic = np.ptp(edges) < EQUAL_EDGES and len(set(numbers.tolist())) == 1
    return float(np.max(lengths / numbers)), float(max(above) if isotropic else min(above))


def find_conflicts(settings: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return in what sources differ, a sentence each; what one does not know is not compared.

    :param settings: by name of the source.
    """
    flat = {source: _flat(known) for source, known in settings.items()}
    conflicts = []
    for key in dict.fromkeys(key for known in flat.values() for key in known):
        groups: dict[Any, list[str]] = {}
        for source, known in flat.items():
            if key in known:
                groups.setdefault(_canonical(known[key]), []).append(source)
        if len(groups) > 1:
            told = '; '.join(f'{value}{UNITS.get(key, "")} in {_names(sources)}' for value, sources in groups.items())
            conflicts.append(f'{key}: {told}')
    return [*conflicts, *_spacing_conflict(settings)]


def _flat(known: Mapping[str, Any]) -> dict[str, Any]:
    scalars = {key: known[key] for key in SCALARS if known.get(key) is not None}
    pseudos = known.get('pseudopotentials') or {}
    return {**scalars, **{f'pseudopotential of {element}': name for element, name in sorted(pseudos.items())}}


def _canonical(value: Any) -> Any:
    if isinstance(value, float | int) and not isinstance(value, bool):
        # Numbers that went through text and units.
        return float(f'{value:.4g}')
    if isinstance(value, Mapping):
        return ', '.join(f'{key} {value[key]}' for key in sorted(value)) or 'none'
    return str(value)


def _spacing_conflict(settings: Mapping[str, Mapping[str, Any]]) -> list[str]:
    known = {
        source: values['kpoints_distance'] for source, values in settings.items() if values.get('kpoints_distance')
    }
    if not known:
        return []
    coarsest = max(known, key=lambda source: known[source][0])
    finest = min(known, key=lambda source: known[source][1])
    least, most = known[coarsest][0], known[finest][1]
    # Codes round before they count.
    if least < most * (1 + 1e-4):
        return []
    return [f'kpoints_distance: at least {least:.3f} 1/Å in {coarsest}, less than {most:.3f} 1/Å in {finest}']


def _names(sources: Sequence[str]) -> str:
    named = ', '.join(sources[:MOST_NAMED])
    return f'{named} and {len(sources) - MOST_NAMED} more' if len(sources) > MOST_NAMED else named
