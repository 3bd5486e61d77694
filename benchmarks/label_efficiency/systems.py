"""What is searched: cells, the surfaces that stand in for a reference method, and the known phases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from ase.calculators.calculator import Calculator

from aiida_prospect.methods.evaluators.ase import AseEvaluator
from aiida_prospect.methods.evaluators.ensemble import Ensemble
from aiida_prospect.methods.lammps_potentials import calculator as lammps_calculator
from benchmarks.label_efficiency.phases import ALUMINA, SILICON, Phases, binary
from benchmarks.label_efficiency.quantum_espresso import CheapSilicon, settings_in_words

# eV/atom: nearer than this to the target is a hit.
WINDOW = 0.005


@dataclass(frozen=True)
class Surface:
    """What stands for the reference method, and what there is to find on it.

    :param name: of the file with the energies of the known phases.
    :param words: for tables.
    :param target: the phase that is looked for, one of ``phases``.
    :param published: what the pools of the reference algorithm have for its compositions.
    :param make: returns a calculator of ASE.
    :param window: less than this above the target is a hit, eV/atom.
    :param fmax: where the relaxations of the known phases end, eV/Å.
    :param details: of the settings, for the page.
    """

    name: str
    words: str
    target: str
    phases: Phases = field(repr=False)
    published: dict[str, dict[str, float]] = field(repr=False)
    make: Callable[[], Calculator] = field(repr=False)
    window: float = WINDOW
    fmax: float = 5e-4
    details: str = field(default='', repr=False)

    def ensemble(self) -> Ensemble:
        """Return what evaluates."""
        return Ensemble([AseEvaluator(self.make)])


@dataclass(frozen=True)
class System:
    """A cell on a surface.

    :param name: as on the command line.
    :param composition: of the cell.
    :param source: the system of a smaller cell whose labels a transfer begins with.
    """

    name: str
    composition: dict[str, int]
    surface: Surface
    source: str | None = None

    @property
    def n_atoms(self) -> int:
        """Atoms in a cell."""
        return sum(self.composition.values())


def _unlike(first: str, second: str) -> dict[str, dict[str, float]]:
    like, unlike = 2.0, 1.5
    return {'min_distances': {f'{first}-{first}': like, f'{second}-{second}': like, f'{first}-{second}': unlike}}


def _embedded(name: str, words: str, target: str, phases: Phases, published: dict[str, dict[str, float]]) -> Surface:
    return Surface(name, words, target, phases, published, partial(lammps_calculator, name))


_SI = {'min_distances': {'Si-Si': 1.6}}
_SNAP = _embedded('Si_Zuo_JPCA2020', 'SNAP (Zuo et al. 2020)', 'diamond', SILICON, _SI)
_SW = _embedded('Si_Stillinger_Weber', 'Stillinger–Weber', 'diamond', SILICON, _SI)
_NACL = _embedded('NaCl_EIM', 'EIM', 'rock salt', binary('Na', 'Cl', 2.82), _unlike('Cl', 'Na'))
_GAAS = _embedded('GaAs_BOP', 'BOP', 'zinc blende', binary('Ga', 'As', 2.45), _unlike('As', 'Ga'))
_ALO = _embedded('AlO_Streitz_Mintmire', 'Streitz–Mintmire', 'corundum', ALUMINA, _unlike('Al', 'O'))
# With so few k-points the energy of a phase depends on the cell that describes it: that of diamond by 13 meV/atom
# between four cells of eight atoms with a = 5.47 Å: cubic, the primitive one 2 × 2 × 1 and 4 × 1 × 1, a sheared one.
_PBE = Surface(
    'Si_PBE_pw',
    'Quantum ESPRESSO, PBE, cheap settings',
    'diamond',
    {name: SILICON[name] for name in ('diamond', 'lonsdaleite', 'beta-tin', 'BC8', 'simple hexagonal')},
    _SI,
    CheapSilicon,
    window=0.03,
    fmax=1e-2,
    details=settings_in_words(),
)

SYSTEMS = {
    system.name: system
    for system in (
        System('si8', {'Si': 8}, _SNAP),
        System('si8-sw', {'Si': 8}, _SW),
        System('si8-pbe', {'Si': 8}, _PBE),
        System('si16', {'Si': 16}, _SNAP),
        System('na4cl4', {'Na': 4, 'Cl': 4}, _NACL),
        System('na8cl8', {'Na': 8, 'Cl': 8}, _NACL),
        System('ga8as8', {'Ga': 8, 'As': 8}, _GAAS),
        System('al4o6', {'Al': 4, 'O': 6}, _ALO),
        System('si46', {'Si': 46}, replace(_SNAP, target='clathrate I'), source='si16'),
        System('al16o24', {'Al': 16, 'O': 24}, replace(_ALO, target='bixbyite'), source='al4o6'),
    )
}
