"""Relax random crystals with potentials: `verdi run examples/relax_pool.py [PK_OF_AN_ENSEMBLE]`.

The PK is that of a `TrainEnsembleWorkChain`, for example of `train_ensemble.py`; without it a potential of LAMMPS
is taken.
"""

import sys

import numpy as np
from aiida import load_profile, orm
from aiida.engine import run_get_node
from aiida.plugins import CalculationFactory, DataFactory, WorkflowFactory

from aiida_prospect.workflows.protocols import load_protocol

PotentialData = DataFactory('prospect.potential')
LAMMPS = 'aiida_prospect.methods.lammps_potentials:calculator'


def ensemble(pk: int | None) -> dict[str, orm.Data]:
    """Return the potentials of a training, or one that is published."""
    if pk is not None:
        return dict(orm.load_node(pk).outputs.potentials)
    return {'zuo': PotentialData.from_calculator(LAMMPS, {'potential': 'Si_Zuo_JPCA2020'}, elements=['Si'])}


def main(pk: int | None = None) -> orm.WorkChainNode:
    """Make a pool and relax it."""
    parameters = {**load_protocol('pool', 'fast', {'n_structures': 10}), 'composition': {'Si': 4}, 'seed': 1}
    pool = CalculationFactory('prospect.generate_pool')(parameters=orm.Dict(parameters))['pool']
    builder = WorkflowFactory('prospect.explore').get_builder_from_protocol(
        pool,
        ensemble(pk),
        orm.load_code('python@localhost'),
        protocol='fast',
        overrides={'parameters': {'max_steps': 30}},
    )
    results, node = run_get_node(builder)
    relaxed = results['pool'].frames
    print(f'Process {node.pk}: {results["report"]["by_status"]}')
    for index in np.argsort(relaxed.energy_per_atom)[:3]:
        print(f'{relaxed.origin[index]}: {relaxed.energy_per_atom[index]:.4f} eV/atom, {relaxed.status[index]}')
    return node


if __name__ == '__main__':
    load_profile()
    main(int(sys.argv[1]) if sys.argv[1:] else None)
