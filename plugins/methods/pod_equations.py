"""What labels say about the coefficients of a linear force field: one row for each energy, force and virial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray

from aiida_prospect.common.frames import Frames
from aiida_prospect.common.units import virial_from_stress
from aiida_prospect.methods.evaluators.base import Grouping
from aiida_prospect.methods.lammps_box import LammpsBox, Oriented
from aiida_prospect.methods.pod_model import DESCRIPTOR_FILE, Repulsion

FloatArray = NDArray[np.float64]

STRAIN = 1e-4
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


@dataclass(frozen=True)
class FrameEquations:
    """The equations of one frame, without weights; what the repulsion contributes is taken off the labels.

    :param energy: (n_coefficients,) and its label, both per atom; eV.
    :param forces: (3 n, n_coefficients) and labels, eV/Å.
    :param virial: (6, n_coefficients) and labels per atom, eV; NaN labels if the stress is not known.
    """

    energy: FloatArray
    forces: FloatArray
    virial: FloatArray
    known_energy: float
    known_forces: FloatArray
    known_virial: FloatArray


def equations(
    frames: Frames, descriptor: str, type_map: Sequence[str], repulsion: Repulsion | None
) -> list[FrameEquations]:
    """Return the equations of all frames.

    The derivative of the descriptors by strain, which LAMMPS does not give, is a central difference.

    :param frames: with energy and forces, and stress where known.
    :param descriptor: see :func:`~aiida_prospect.methods.pod_model.descriptor_text`.
    :raises LammpsError: if LAMMPS cannot compute the descriptors.
    """
    rows: dict[int, FrameEquations] = {}
    types_of = {atomic_numbers[symbol]: index for index, symbol in enumerate(type_map)}
    with TemporaryDirectory(prefix='pod-') as folder:
        path = Path(folder) / DESCRIPTOR_FILE
        path.write_text(descriptor)
        commands = _commands(path, descriptor, type_map, repulsion)
        for group in Grouping()(frames):
            types = np.array([types_of[number] for number in group.numbers.tolist()])
            box = LammpsBox(type_map, types, commands)
            for index, atoms in zip(group.frames.tolist(), group.atoms, strict=True):
                rows[index] = _equations_of(box, frames, index, atoms)
            box.close()
    return [rows[index] for index in range(len(frames))]


def _commands(path: Path, descriptor: str, type_map: Sequence[str], repulsion: Repulsion | None) -> list[str]:
    cutoff = dict(line.split(maxsplit=1) for line in descriptor.splitlines())['rcut']
    styles = ' '.join(repulsion.styles(type_map) if repulsion else ())
    return [
        f'pair_style hybrid/overlay zero {cutoff} {styles}',
        'pair_coeff * * zero',
        *(repulsion.coefficients(type_map) if repulsion else ()),
        f'compute descriptors all pod/global "{path}" "" {" ".join(type_map)}',
    ]


def _equations_of(box: LammpsBox, frames: Frames, index: int, atoms: NDArray[np.int64]) -> FrameEquations:
    n_atoms = len(atoms)
    strains = np.zeros((13, 3, 3))
    for row, (i, j) in enumerate(VOIGT):
        for sign, offset in ((1, 1), (-1, 7)):
            strains[offset + row, i, j] += sign * STRAIN / 2
            strains[offset + row, j, i] += sign * STRAIN / 2
    has_stress = frames.stress is not None and bool(np.isfinite(frames.stress[index]).all())
    deformations = (np.eye(3) + strains)[: 13 if has_stress else 1]
    oriented = Oriented.of(frames.cells[index] @ deformations, frames.positions[atoms] @ deformations)
    energy, forces, stress = box.calculate(oriented.boxes[0], oriented.positions[0])
    table = box.array('descriptors')
    back = oriented.rotations[0].T
    by_force = np.einsum('naf,ab->nbf', table[1:].reshape(n_atoms, 3, -1), back).reshape(3 * n_atoms, -1)
    known_virial: FloatArray = np.full(6, np.nan)
    by_virial: FloatArray = np.zeros((6, table.shape[1]))
    if has_stress:
        sums = []
        for row in range(1, 13):
            box.calculate(oriented.boxes[row], oriented.positions[row])
            sums.append(box.array('descriptors')[0])
        # The virial is minus the derivative of the energy by the strain.
        by_virial = -(np.array(sums[:6]) - np.array(sums[6:])) / (2 * STRAIN) / n_atoms
        rest = frames.known('stress')[index] - back.T @ stress @ back
        virial = virial_from_stress(rest[None], frames.volumes[[index]])[0] / n_atoms
        known_virial = np.array([virial[i, j] for i, j in VOIGT])
    return FrameEquations(
        energy=table[0] / n_atoms,
        forces=by_force,
        virial=by_virial,
        known_energy=(float(frames.known('energy')[index]) - energy) / n_atoms,
        known_forces=(frames.known('forces')[atoms] - forces @ back).ravel(),
        known_virial=known_virial,
    )
