"""Force fields of proper orthogonal descriptors (ML-POD), linear in their coefficients.

N.-C. Nguyen and A. Rohskopf, J. Comput. Phys. 480, 112030 (2023).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np
from ase.data import atomic_numbers, covalent_radii
from numpy.typing import NDArray

DESCRIPTOR_FILE = 'descriptor.pod'
COEFFICIENT_FILE = 'coefficients.pod'
COMMAND_FILE = 'potential.lmp'
MODEL_FILE = 'model.json'

DESCRIPTOR_DEFAULTS: dict[str, float] = {
    'rin': 0.5,
    'rcut': 5.0,
    'bessel_polynomial_degree': 4,
    'inverse_polynomial_degree': 8,
    'twobody_number_radial_basis_functions': 8,
    'threebody_number_radial_basis_functions': 6,
    'threebody_angular_degree': 5,
    'fourbody_number_radial_basis_functions': 4,
    'fourbody_angular_degree': 4,
}


def descriptor_text(descriptor: Mapping[str, Any], type_map: Sequence[str]) -> str:
    """Return the file with which LAMMPS makes the descriptors.

    :param descriptor: numbers in LAMMPS' own words, see :data:`DESCRIPTOR_DEFAULTS`.
    :raises ValueError: if a word is unknown or the cut-offs do not fit.
    """
    unknown = sorted(set(descriptor) - set(DESCRIPTOR_DEFAULTS))
    if unknown:
        raise ValueError(f'unknown in the descriptor: {", ".join(unknown)}; known: {", ".join(DESCRIPTOR_DEFAULTS)}')
    values = {**DESCRIPTOR_DEFAULTS, **descriptor}
    if not 0 < values['rin'] < values['rcut']:
        raise ValueError(f'the cut-offs are rin = {values["rin"]} and rcut = {values["rcut"]}, expected 0 < rin < rcut')
    lines = [f'species {" ".join(type_map)}', 'pbc 1 1 1', 'onebody 1']
    lines += [f'{key} {value}' for key, value in values.items()]
    lines += ['fivebody_number_radial_basis_functions 0', 'fivebody_angular_degree 0']
    return '\n'.join(lines) + '\n'


@dataclass(frozen=True)
class Repulsion:
    """Screened repulsion of nuclei (ZBL) between atoms that are closer than in any crystal.

    The descriptors know nothing of distances without data, and their sum may fall without bound there. Between the two
    distances the repulsion is switched off smoothly; they are in units of the sum of the covalent radii of a pair. The
    coefficients are fitted to what the labels are without it, so it does no harm if there are data in between.
    """

    inner: float
    outer: float

    def __post_init__(self) -> None:
        if not 0 < self.inner < self.outer:
            raise ValueError(
                f'the repulsion has inner = {self.inner}, outer = {self.outer}, expected 0 < inner < outer'
            )

    def styles(self, type_map: Sequence[str]) -> list[str]:
        """Return one ``zbl`` style with its distances for each pair of types."""
        return [f'zbl {self.inner * radii:.6f} {self.outer * radii:.6f}' for _, _, radii in _pairs(type_map)]

    def coefficients(self, type_map: Sequence[str]) -> list[str]:
        """Return the ``pair_coeff`` commands."""
        pairs = _pairs(type_map)
        numbers = [atomic_numbers[symbol] for symbol in type_map]
        commands = []
        for index, (first, second, _) in enumerate(pairs, start=1):
            which = f' {index}' if len(pairs) > 1 else ''
            commands.append(f'pair_coeff {first + 1} {second + 1} zbl{which} {numbers[first]} {numbers[second]}')
        return commands


def _pairs(type_map: Sequence[str]) -> list[tuple[int, int, float]]:
    radii = [covalent_radii[atomic_numbers[symbol]] for symbol in type_map]
    return [(i, j, radii[i] + radii[j]) for i, j in combinations_with_replacement(range(len(radii)), 2)]


@dataclass(frozen=True, eq=False)
class PodModel:
    """A fitted force field.

    :param type_map: elements, in the order of the descriptor file.
    :param descriptor: the text of that file.
    :param coefficients: (n,), eV.
    """

    type_map: tuple[str, ...]
    descriptor: str
    coefficients: NDArray[np.float64]
    repulsion: Repulsion | None = None

    @classmethod
    def mean(cls, models: Sequence[PodModel]) -> PodModel | None:
        """Return the model that gives the mean of what several give; ``None`` if not only their coefficients differ."""
        first = models[0]
        if len({(model.type_map, model.descriptor, model.repulsion) for model in models}) > 1:
            return None
        return replace(first, coefficients=np.mean([model.coefficients for model in models], axis=0))

    def commands(self, folder: Path | str | None = None) -> list[str]:
        """Return what makes LAMMPS use the force field.

        :param folder: that holds the files of :meth:`extract`; ``None`` for the current one.
        """
        prefix = '' if folder is None else f'{folder}/'
        files = f'"{prefix}{DESCRIPTOR_FILE}" "{prefix}{COEFFICIENT_FILE}"'
        elements = ' '.join(self.type_map)
        if self.repulsion is None:
            return ['pair_style pod', f'pair_coeff * * {files} {elements}']
        return [
            f'pair_style hybrid/overlay pod {" ".join(self.repulsion.styles(self.type_map))}',
            f'pair_coeff * * pod {files} {elements}',
            *self.repulsion.coefficients(self.type_map),
        ]

    def _contents(self) -> dict[str, str]:
        numbers = '\n'.join(f'{value:.17g}' for value in self.coefficients)
        repulsion = None if self.repulsion is None else {'inner': self.repulsion.inner, 'outer': self.repulsion.outer}
        return {
            DESCRIPTOR_FILE: self.descriptor,
            COEFFICIENT_FILE: f'model_coefficients: {len(self.coefficients)} 0 0\n{numbers}\n',
            COMMAND_FILE: '\n'.join(self.commands()) + '\n',
            MODEL_FILE: json.dumps({'type_map': list(self.type_map), 'repulsion': repulsion}, indent=2) + '\n',
        }

    def extract(self, folder: Path) -> None:
        """Write the files that LAMMPS reads into a folder."""
        for name, content in self._contents().items():
            (folder / name).write_text(content)

    def save(self, path: Path | str) -> None:
        """Write one archive with all files; equal models make equal bytes."""
        with ZipFile(path, 'w') as archive:
            for name, content in self._contents().items():
                archive.writestr(ZipInfo(name), content)

    @classmethod
    def load(cls, path: Path | str) -> PodModel:
        """Read what :meth:`save` wrote.

        :raises FileNotFoundError: if there is no such file.
        :raises ValueError: if it is something else.
        """
        if not Path(path).is_file():
            raise FileNotFoundError(f'no model file `{path}`')
        try:
            with ZipFile(path) as archive:
                texts = {name: archive.read(name).decode() for name in (DESCRIPTOR_FILE, COEFFICIENT_FILE, MODEL_FILE)}
            header = json.loads(texts[MODEL_FILE])
            repulsion = header['repulsion'] and Repulsion(**header['repulsion'])
            numbers = np.array(texts[COEFFICIENT_FILE].split('\n', 1)[1].split(), dtype=float)
            return cls(tuple(header['type_map']), texts[DESCRIPTOR_FILE], numbers, repulsion)
        except (BadZipFile, KeyError, IndexError, TypeError, ValueError) as exception:
            raise ValueError(f'`{path}` is no model of ML-POD: {exception}') from exception
