"""pw.x of Quantum ESPRESSO as a calculator of ASE, for the compute side: one run a frame, one folder at a time."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from copy import deepcopy
from io import StringIO
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.io.espresso import read_espresso_out, write_espresso_in
from ase.units import create_units
from numpy.typing import NDArray

from aiida_prospect.common.units import EV_PER_RYDBERG_OF_QE_TOOLS
from aiida_prospect.methods.evaluators.base import JobEnded, Unconverged

INPUT, OUTPUT, ERRORS = 'pw.in', 'pw.out', 'pw.err'
LINES_QUOTED = 4
# What the reader of ASE converts with.
EV_PER_RYDBERG_OF_ASE = create_units('2006')['Ry']
EQUAL_LENGTHS = 1e-5
TERMINATED, OF_SHELL = 15, 128
# As in the work chain of aiida-quantumespresso: what is no empty band, and how many more are tried.
OCCUPIED, MORE_BANDS, LARGEST_INCREASE = 0.005, 4, 0.05
MOST_RUNS = 3
NUMBER_OF_BANDS = re.compile(r'number of Kohn-Sham states\s*=\s*(\d+)')
OCCUPATIONS = re.compile(r'occupation numbers\s*\n((?:[-\d. ]*\d[-\d. ]*\n)+)')
NOT_CONVERGED = re.compile(r'convergence NOT achieved after\s+(\d+) iterations')
COMPLAINT = re.compile(r'%{20,}\n(.*?)\n\s*%{20,}', re.DOTALL)
SLURM_ENDS_JOB = re.compile(r'slurmstepd: error: .*CANCELLED AT')


class PwFailed(RuntimeError):
    """A run of pw.x without a result, for other reasons than the self-consistency."""


def check_parameters(parameters: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse what cannot be written without knowing the order of the species.

    :raises ValueError: if there is a value by species or by index, or a magnetic system.
    """
    for name, namelist in parameters.items():
        for key, value in namelist.items():
            magnetic = (key.lower() == 'nspin' and value != 1) or (key.lower() == 'noncolin' and value)
            if magnetic or not isinstance(value, str | bool | int | float):
                raise ValueError(
                    f'`{name}.{key}` is {value!r}: many runs of pw.x in one job are not magnetic, and take numbers, '
                    'words and truth values only; use the labels `quantumespresso`'
                )


def mesh(cell: NDArray[np.float64], distance: float) -> tuple[int, int, int]:
    """Return the Γ-centred mesh that ``create_kpoints_from_distance`` of aiida-quantumespresso 5.1 makes.

    :param cell: (3, 3), Å.
    :param distance: largest distance of neighbours along a reciprocal axis, 1/Å, with 2π.
    """
    lengths = np.linalg.norm(2 * np.pi * np.linalg.inv(cell).T, axis=1)
    numbers = [max(int(np.ceil(round(float(length) / distance, 5))), 1) for length in lengths]
    if np.ptp(np.linalg.norm(cell, axis=1)) < EQUAL_LENGTHS:
        numbers = [max(numbers)] * 3
    return numbers[0], numbers[1], numbers[2]


class PwCalculator(Calculator):
    """Runs pw.x in a folder that is made for a frame and removed after it.

    The energy is the free energy of the smeared electrons, whose derivatives forces and stress are.

    :param command: how pw.x is started, ``mpirun -np 4 pw.x -npool 2``.
    :param parameters: namelists, without what depends on the frame.
    :param pseudopotentials: for each element the name of its file in the folder.
    :param kpoints_distance: see :func:`mesh`.
    :param conv_thr_per_atom: Ry; what ``ELECTRONS.conv_thr`` is made of, if it is not given.
    :param folder: with the pseudopotentials, where it works; the present one if not given.
    :raises ValueError: if the parameters cannot be used.
    :raises FileNotFoundError: if the program or a pseudopotential is not there.
    """

    implemented_properties = ('energy', 'free_energy', 'forces', 'stress')

    def __init__(
        self,
        *,
        command: str,
        parameters: Mapping[str, Mapping[str, Any]],
        pseudopotentials: Mapping[str, str],
        kpoints_distance: float,
        conv_thr_per_atom: float,
        folder: Path | str | None = None,
    ) -> None:
        super().__init__()
        check_parameters(parameters)
        self.folder = Path(folder or '.').resolve()
        self.arguments = shlex.split(command)
        if not self.arguments or shutil.which(self.arguments[0]) is None:
            raise FileNotFoundError(f'the program of the command `{command}` is not there, or may not be run')
        missing = sorted(name for name in pseudopotentials.values() if not (self.folder / name).is_file())
        if missing:
            raise FileNotFoundError(f'the pseudopotentials {", ".join(missing)} are not in {self.folder}')
        self.namelists = deepcopy({name: dict(values) for name, values in parameters.items()})
        self.pseudopotentials = dict(pseudopotentials)
        self.kpoints_distance, self.conv_thr_per_atom = kpoints_distance, conv_thr_per_atom

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ('energy',),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Run pw.x.

        :raises Unconverged: if it did not reach self-consistency.
        :raises JobEnded: if it was terminated, as all processes of a job are when its time is over.
        :raises PwFailed: if it left no result for another reason.
        """
        super().calculate(atoms, properties, system_changes)
        more: dict[str, int] = {}
        for _ in range(MOST_RUNS):
            output, errors, status = self._run(more)
            results = read_results(output, errors, status=status)
            bands = bands_needed(output) if self._is_smeared else None
            if bands is None:
                self.results = results
                return
            more = {'nbnd': bands}
        raise PwFailed(f'the highest band is still occupied with {MOST_RUNS} numbers of bands: give a larger `nbnd`')

    @property
    def _is_smeared(self) -> bool:
        return self.namelists.get('SYSTEM', {}).get('occupations', 'fixed') != 'fixed'

    def _run(self, more: Mapping[str, int]) -> tuple[str, str, int]:
        """Return output, errors and exit status of a run.

        :param more: laid over the namelist ``SYSTEM``.
        """
        folder = Path(mkdtemp(prefix='pw_', dir=self.folder))
        try:
            self._write_input(folder / INPUT, more)
            with (folder / OUTPUT).open('wb') as output, (folder / ERRORS).open('wb') as errors:
                arguments = [*self.arguments, '-in', INPUT]
                done = subprocess.run(arguments, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=errors)
            output_text, errors_text = ((folder / name).read_text(errors='replace') for name in (OUTPUT, ERRORS))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return output_text, errors_text, done.returncode

    def _write_input(self, path: Path, more: Mapping[str, int]) -> None:
        namelists = deepcopy(self.namelists)
        own = {
            'calculation': 'scf',
            'tprnfor': True,
            'tstress': True,
            'outdir': './',
            'pseudo_dir': str(self.folder),
            # Otherwise it does not tell the occupations.
            'verbosity': 'high',
        }
        namelists.setdefault('CONTROL', {}).update(own)
        namelists.setdefault('SYSTEM', {}).update(more)
        namelists.setdefault('ELECTRONS', {}).setdefault('conv_thr', self.conv_thr_per_atom * len(self.atoms))
        with path.open('w', encoding='utf8') as handle:
            write_espresso_in(
                handle,
                self.atoms,
                input_data=namelists,
                pseudopotentials=self.pseudopotentials,
                kpts=mesh(self.atoms.cell.array, self.kpoints_distance),
            )


def read_results(output: str, errors: str, *, status: int) -> dict[str, Any]:
    """Return energy (eV), forces (eV/Å) and stress (Voigt, eV/Å³, positive under tension) of a run.

    The energy is converted as aiida-quantumespresso does it. Its constant differs in the eighth digit; of a heavy atom
    with tens of keV that is some tenths of a meV.

    :param status: exit status of the process; negative or above 128 if a signal ended it.
    :raises Unconverged, JobEnded, PwFailed: see :meth:`PwCalculator.calculate`.
    """
    unconverged = NOT_CONVERGED.search(output)
    if unconverged:
        raise Unconverged(f'pw.x did not reach self-consistency in {unconverged[1]} iterations')
    signal = -status if status < 0 else status - OF_SHELL if OF_SHELL < status < OF_SHELL + 65 else 0
    if signal == TERMINATED or SLURM_ENDS_JOB.search(errors):
        raise JobEnded(f'pw.x was terminated: {last_words(output, errors)}')
    if status or 'JOB DONE' not in output:
        how = f'was killed by signal {signal}' if signal else f'ended with status {status}'
        raise PwFailed(f'pw.x {how}: {last_words(output, errors)}')
    try:
        (atoms,) = read_espresso_out(StringIO(output), index=slice(-1, None))
        found = {name: atoms.calc.results[name] for name in ('forces', 'stress')}
        energy = atoms.calc.results['energy'] / EV_PER_RYDBERG_OF_ASE * EV_PER_RYDBERG_OF_QE_TOOLS
    except (AssertionError, LookupError, ValueError) as exception:
        raise PwFailed(f'the output of pw.x cannot be read: {type(exception).__name__}: {exception}') from exception
    return {**found, 'energy': energy, 'free_energy': energy}


def bands_needed(output: str) -> int | None:
    """Return the number of bands to try instead, if the highest one is occupied somewhere; ``None`` if all is well."""
    highest = [float(block.split()[-1]) for block in OCCUPATIONS.findall(output)]
    number = NUMBER_OF_BANDS.search(output)
    if number is None or max(highest, default=0.0) < OCCUPIED:
        return None
    bands = int(number[1])
    return bands + max(int(bands * LARGEST_INCREASE), MORE_BANDS)


def last_words(output: str, errors: str) -> str:
    """Return what pw.x says is wrong, or else the end of what it wrote, in one line."""
    complaints = COMPLAINT.findall(output)
    said = complaints[-1] if complaints else errors if errors.strip() else output
    lines = [' '.join(line.split()) for line in said.splitlines() if re.search(r'\w', line)]
    return ' | '.join(lines[-LINES_QUOTED:]) or 'it wrote nothing'
