"""Train an ensemble of force fields on labels in a file: `verdi run examples/train_ensemble.py LABELS.extxyz`.

Any extxyz with energies and forces (and stresses) will do, for example the one that `label_structures.py` writes.
"""

import sys
from pathlib import Path

from aiida import load_profile, orm
from aiida.engine import run_get_node
from aiida.plugins import DataFactory, WorkflowFactory


def main(path: Path) -> orm.WorkChainNode:
    """Train two members, print their errors, and write the models for LAMMPS."""
    labels = DataFactory('prospect.dataset').from_file(path)
    builder = WorkflowFactory('prospect.train.ensemble').get_builder_from_protocol(
        orm.load_code('python@localhost'),
        {'labels': labels},
        protocol='fast',
        # `deepmd` trains a network with DeePMD-kit instead, and takes much longer.
        overrides={'force_field': 'pod'},
    )
    results, node = run_get_node(builder)
    for name, potential in results['potentials'].items():
        model = path.with_name(f'{name}{potential.suffix}')
        potential.write_model(model)
        print(f'{name} <{potential.pk}>: errors {potential.errors}, written to {model}')
    rejected = sum(map(len, results['acceptance']['rejected'].values()))
    print(f'Ensemble of process {node.pk}; {rejected} frames were left out')
    return node


if __name__ == '__main__':
    load_profile()
    main(Path(sys.argv[1]))
