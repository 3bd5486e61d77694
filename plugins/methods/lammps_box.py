"""Many crystals of one composition, one after the other, in one live instance of LAMMPS."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.data import atomic_masses, atomic_numbers
from numpy.typing import NDArray

from aiida_prospect.common.units import EV_PER_ANGSTROM3_PER_KBAR
from aiida_prospect.methods.lammps_potentials import load_lammps

FloatArray = NDArray[np.float64]

BARS_PER_KBAR = 1000
# Between neighbours of the crystal that each instance begins with, Å.
DENSE_SPACING = 2.0


class LammpsError(RuntimeError):
    """An error that LAMMPS reported."""


@dataclass(frozen=True)
class Oriented:
    """Crystals turned as LAMMPS wants them: the first lattice vector along x, the second in the plane of x and y.

    :param boxes: (m, 6), lengths along x, y, z and tilts xy, xz, yz, Å.
    :param rotations: (m, 3, 3), orthogonal matrices R with ``turned = original @ R``; of left-handed cells mirrored.
    :param positions: (m, n, 3), turned and wrapped into the box, Å.
    """

    boxes: FloatArray
    rotations: FloatArray
    positions: FloatArray

    @classmethod
    def of(cls, cells: FloatArray, positions: FloatArray) -> Oriented:
        """Turn crystals.

        :param cells: (m, 3, 3), lattice vectors as rows, Å.
        :param positions: (m, n, 3), Å.
        """
        q, r = np.linalg.qr(cells.transpose(0, 2, 1))
        signs = np.sign(np.diagonal(r, axis1=1, axis2=2))
        rotations = q * signs[:, None, :]
        lattice = (r * signs[:, :, None]).transpose(0, 2, 1)
        # Equivalent cells with tilts of at most half a length need the fewest periodic images.
        lattice[:, 2] -= np.round(lattice[:, 2, 1] / lattice[:, 1, 1])[:, None] * lattice[:, 1]
        for row in (1, 2):
            lattice[:, row] -= np.round(lattice[:, row, 0] / lattice[:, 0, 0])[:, None] * lattice[:, 0]
        fractional = positions @ rotations @ np.linalg.inv(lattice)
        wrapped = (fractional - np.floor(fractional)) @ lattice
        boxes = np.column_stack([np.diagonal(lattice, axis1=1, axis2=2), lattice[:, 1, 0], lattice[:, 2, :2]])
        return cls(boxes, rotations, np.ascontiguousarray(wrapped))


class LammpsBox:
    """LAMMPS with the atoms of one composition, whose box and positions are changed from crystal to crystal.

    :param type_map: elements in the order of the atom types; all have a type, also those that do not occur.
    :param types: (n,), type of each atom, from 0.
    :param commands: that choose the interaction.
    :raises ModuleNotFoundError: if LAMMPS is not installed.
    """

    def __init__(self, type_map: Sequence[str], types: NDArray[np.int64], commands: Sequence[str]) -> None:
        self._lammps: Any = load_lammps()
        self._type_map, self._types, self._commands = type_map, types, commands
        self._is_set_up = False
        self._step = 0

    def calculate(self, box: FloatArray, positions: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Return energy (eV), forces (n, 3; eV/Å) and stress (3, 3; eV/Å³, positive under tension) of a turned crystal.

        :raises LammpsError: if LAMMPS fails; the instance is of no use then.
        """
        try:
            self._place(box, positions)
            # Lists of neighbours that only a compute asks for are renewed when the time step is another one.
            self._step += 1
            self._lammps.command(f'reset_timestep {self._step}')
            self._lammps.command('run 0 post no')
            energy = float(self._lammps.get_thermo('pe'))
            forces = np.ctypeslib.as_array(self._lammps.gather_atoms('f', 1, 3)).reshape(positions.shape).copy()
            xx, yy, zz, xy, xz, yz = self._lammps.extract_compute('pressure', 0, 1)[:6]
        except Exception as exception:
            # LAMMPS reports all its errors as a plain `Exception`, of which nothing narrower can be caught.
            if type(exception).__name__ not in ('Exception', 'MPIAbortException'):
                raise
            raise LammpsError(f'LAMMPS: {exception}') from exception
        pressure = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        return energy, forces, -pressure * EV_PER_ANGSTROM3_PER_KBAR / BARS_PER_KBAR

    def array(self, compute: str) -> FloatArray:
        """Return the global array of a compute for the last crystal."""
        return np.array(self._lammps.numpy.extract_compute(compute, 0, 2))

    def close(self) -> None:
        """Give its memory back."""
        self._lammps.close()

    def _place(self, box: FloatArray, positions: FloatArray) -> None:
        if not self._is_set_up:
            self._set_up()
        x, y, z, xy, xz, yz = (repr(float(value)) for value in box)
        self._lammps.command(
            f'change_box all x final 0 {x} y final 0 {y} z final 0 {z} '
            f'xy final {xy} xz final {xz} yz final {yz} units box'
        )
        self._scatter(positions)

    def _scatter(self, positions: FloatArray) -> None:
        self._lammps.scatter_atoms('x', 1, 3, positions.ctypes.data_as(ctypes.POINTER(ctypes.c_double)))

    def _set_up(self) -> None:
        """Make the atoms, and begin with a dense crystal.

        ML-POD sizes its work space by the largest number of neighbours so far, and for an atom with but one or two it
        is too small: memory would be overwritten.
        """
        n_sites = int(np.ceil(len(self._types) ** (1 / 3)))
        sites = np.stack(np.meshgrid(*[np.arange(n_sites)] * 3, indexing='ij'), axis=-1).reshape(-1, 3)
        length = n_sites * DENSE_SPACING
        masses = [atomic_masses[atomic_numbers[symbol]] for symbol in self._type_map]
        self._lammps.commands_list(
            [
                'units metal',
                'atom_style atomic',
                'atom_modify map array sort 0 0',
                'box tilt large',
                f'region cell prism 0 {length} 0 {length} 0 {length} 0 0 0 units box',
                f'create_box {len(self._type_map)} cell',
                *(f'create_atoms {index + 1} single 0 0 0 units box' for index in self._types.tolist()),
                *(f'mass {index} {mass}' for index, mass in enumerate(masses, start=1)),
                *self._commands,
                # Neighbours are searched for anew for each crystal.
                'neighbor 0.0 bin',
                'neigh_modify one 10000 page 1000000',
                'compute pressure all pressure NULL virial',
                'thermo_style custom step pe',
                'thermo_modify norm no',
            ]
        )
        self._scatter(np.ascontiguousarray(sites[: len(self._types)] * DENSE_SPACING, dtype=float))
        self._lammps.command('run 0 post no')
        self._is_set_up = True
