"""Minimisation by LAMMPS, positions and cell together, one crystal after the other in one live instance.

``fix box/relax`` allows ``cg`` only of its minimisers that are of use here. It ends by a criterion of its own, so
``fix halt`` ends it by that of all others: the largest force on an atom, and the largest row of the virial over the
number of atoms. Where the line search finds nothing lower, it is started again from there, as its manual says.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from ase import Atoms

from aiida_prospect.methods.lammps_box import LammpsBox, Oriented
from benchmarks.relax_throughput.engines import Outcome

EV_PER_BAR_ANGSTROM3 = 6.241509074e-7
RESTARTS = 20
ROWS = ('xx xy xz', 'xy yy yz', 'xz yz zz')


class Minimiser(LammpsBox):
    """A box that is minimised.

    :param file: model of DeePMD-kit.
    """

    def __init__(self, file: Path, n_atoms: int, style: str, fmax: float, log: Path) -> None:
        import deepmd

        super().__init__(['Si'], np.zeros(n_atoms, dtype=np.int64), [f'pair_style deepmd {file}', 'pair_coeff * *'])
        self.fmax, self.style, self.log = fmax, style, log
        plugin = Path(deepmd.__file__).parent / 'lib' / 'libdeepmd_lmpplugin.so'
        self._lammps.commands_list([f'log {log}', f'plugin load {plugin}'])

    def minimise(self, box: Any, positions: Any, max_evaluations: int) -> tuple[float, int, bool]:
        """Return the energy, the evaluations and whether the forces are below the limit."""
        if not self._is_set_up:
            self._set_up()
            self._lammps.commands_list(self._criterion(len(positions)))
        self._place(box, positions)
        self.log.write_text('')
        spent, done = 0, False
        for _ in range(RESTARTS):
            self._lammps.commands_list(
                [
                    f'log {self.log}',
                    'fix cell all box/relax tri 0.0 vmax 0.01',
                    f'fix halt all halt 1 v_largest < {self.fmax} error continue message no',
                    f'min_style {self.style}',
                    f'minimize 0 1.0e-10 {max_evaluations} {max_evaluations - spent}',
                    'unfix halt',
                    'unfix cell',
                    'run 0 post no',
                    'print "largest $(v_largest)"',
                    'log none',
                ]
            )
            text = self.log.read_text()
            spent += int(re.findall(r'force evaluations = \d+ (\d+)', text)[-1])
            done = float(re.findall(r'^largest (\S+)', text, re.MULTILINE)[-1]) < self.fmax
            if done or spent >= max_evaluations:
                break
        return float(self._lammps.get_thermo('pe')), spent, done

    @staticmethod
    def _criterion(n_atoms: int) -> list[str]:
        factor = EV_PER_BAR_ANGSTROM3 / n_atoms
        index = {'xx': 1, 'yy': 2, 'zz': 3, 'xy': 4, 'xz': 5, 'yz': 6}
        rows = []
        for number, row in enumerate(ROWS):
            squares = '+'.join(f'c_pressure[{index[name]}]^2' for name in row.split())
            rows.append(f'variable row{number} equal sqrt({squares})*vol*{factor}')
        return [
            'neigh_modify delay 0 every 1 check no',
            'thermo 1',
            'thermo_style custom step pe fmax c_pressure[*]',
            'variable force atom sqrt(fx^2+fy^2+fz^2)',
            'compute force all reduce max v_force',
            *rows,
            'variable cell equal ternary(v_row0>v_row1,v_row0,v_row1)',
            'variable both equal ternary(v_cell>v_row2,v_cell,v_row2)',
            'variable largest equal ternary(v_both>c_force,v_both,c_force)',
        ]


def minimise(files: list[Path], *, style: str, fmax: float, max_evaluations: int) -> Callable[[list[Atoms]], Outcome]:
    """Return what minimises crystals of one size with the first of the models."""
    folder = TemporaryDirectory(prefix='lammps-')
    boxes: dict[int, Minimiser] = {}

    def relax(crystals: list[Atoms]) -> Outcome:
        counts, energies, converged = [], [], []
        for atoms in crystals:
            if len(atoms) not in boxes:
                boxes[len(atoms)] = Minimiser(files[0], len(atoms), style, fmax, Path(folder.name) / 'log')
            turned = Oriented.of(atoms.cell.array[None], atoms.positions[None])
            energy, spent, done = boxes[len(atoms)].minimise(turned.boxes[0], turned.positions[0], max_evaluations)
            counts.append(spent)
            energies.append(energy / len(atoms))
            converged.append(done)
        return Outcome(sum(counts), energies, counts, converged)

    return relax
