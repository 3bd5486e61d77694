"""What is searched: cells, the surfaces that stand in for a reference method, and the known phases."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from aiida_prospect.methods.evaluators.ase import AseEvaluator
from aiida_prospect.methods.evaluators.ensemble import Ensemble
from aiida_prospect.methods.lammps_potentials import calculator
from benchmarks.label_efficiency.phases import ALUMINA, SILICON, Phases, binary


@dataclass(frozen=True)
class System:
    """A cell on a surface.

    :param name: as on the command line.
    :param composition: of the cell.
    :param potential: of :data:`aiida_prospect.methods.lammps_potentials.POTENTIALS`.
    :param target: the phase that is looked for, one of ``phases``.
    :param surface: its name, in words.
    :param published: what the pools of the reference algorithm have for this composition.
    :param source: the system of a smaller cell whose labels a transfer begins with.
    """

    name: str
    composition: dict[str, int]
    potential: str
    target: str
    surface: str
    phases: Phases = field(repr=False)
    published: dict[str, dict[str, float]] = field(repr=False)
    source: str | None = None

    @property
    def n_atoms(self) -> int:
        """Atoms in a cell."""
        return sum(self.composition.values())

    def ensemble(self) -> Ensemble:
        """Return the surface."""
        return Ensemble([AseEvaluator(partial(calculator, self.potential))])


def _unlike(first: str, second: str) -> dict[str, dict[str, float]]:
    like, unlike = 2.0, 1.5
    return {'min_distances': {f'{first}-{first}': like, f'{second}-{second}': like, f'{first}-{second}': unlike}}


_SI = {'min_distances': {'Si-Si': 1.6}}
_SNAP = ('Si_Zuo_JPCA2020', 'diamond', 'SNAP (Zuo et al. 2020)', SILICON, _SI)
_SW = ('Si_Stillinger_Weber', 'diamond', 'Stillinger–Weber', SILICON, _SI)
_NACL = ('NaCl_EIM', 'rock salt', 'EIM', binary('Na', 'Cl', 2.82), _unlike('Cl', 'Na'))
_GAAS = ('GaAs_BOP', 'zinc blende', 'BOP', binary('Ga', 'As', 2.45), _unlike('As', 'Ga'))
_ALO = ('AlO_Streitz_Mintmire', 'corundum', 'Streitz–Mintmire', ALUMINA, _unlike('Al', 'O'))

SYSTEMS = {
    system.name: system
    for system in (
        System('si8', {'Si': 8}, *_SNAP),
        System('si8-sw', {'Si': 8}, *_SW),
        System('si16', {'Si': 16}, *_SNAP),
        System('na4cl4', {'Na': 4, 'Cl': 4}, *_NACL),
        System('na8cl8', {'Na': 8, 'Cl': 8}, *_NACL),
        System('ga8as8', {'Ga': 8, 'As': 8}, *_GAAS),
        System('al4o6', {'Al': 4, 'O': 6}, *_ALO),
        System('si46', {'Si': 46}, 'Si_Zuo_JPCA2020', 'clathrate I', _SNAP[2], SILICON, _SI, source='si16'),
        System('al16o24', {'Al': 16, 'O': 24}, *_ALO, source='al4o6'),
    )
}
