"""Label structures of your own, without a search: `verdi run examples/label_structures.py [LABELS.extxyz]`.

Whatever has an entry point `prospect.label.…` is used in this way; only keywords of `get_builder_from_protocol` differ.
"""

import sys
from pathlib import Path

import numpy as np
from aiida import load_profile, orm
from aiida.engine import run_get_node
from aiida.plugins import DataFactory, WorkflowFactory
from ase.build import bulk

from aiida_prospect.common.frames import Frames


def strained_silicon(count: int, seed: int) -> Frames:
    """Return strained and rattled crystals, and at last one that no method should be asked for."""
    rng = np.random.default_rng(seed)
    structures = []
    for _ in range(count):
        atoms = bulk('Si', 'diamond', a=5.43, cubic=True)
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + rng.uniform(-0.04, 0.04, (3, 3))), scale_atoms=True)
        atoms.positions += rng.normal(0, 0.1, (len(atoms), 3))
        structures.append(atoms)
    collapsed = bulk('Si', 'diamond', a=2.0, cubic=True)
    names = [f'strained-{number:02d}' for number in range(count)]
    return Frames.from_atoms([*structures, collapsed], origin=[*names, 'collapsed'])


def main(path: Path) -> orm.WorkChainNode:
    """Label them, say what became of each, and write a file for other programs."""
    candidates = DataFactory('prospect.dataset')(strained_silicon(count=16, seed=1))
    builder = WorkflowFactory('prospect.label.calculator').get_builder_from_protocol(
        candidates, code=orm.load_code('python@localhost'), arguments={'potential': 'Si_Zuo_JPCA2020'}
    )
    # The other task is `relax`.
    builder.task = orm.Str('single_point')
    results, node = run_get_node(builder)
    labels = results['labels'].frames
    for origin, status, reason, energy in zip(
        labels.origin, labels.status, labels.known('reason'), labels.energy_per_atom, strict=True
    ):
        print(f'{origin}: {status}, {energy:.4f} eV/atom' if status == 'ok' else f'{origin}: {status}, {reason}')
    results['labels'].export(path)
    print(f'Labels {results["labels"].pk} by process {node.pk}, written to {path}')
    return node


if __name__ == '__main__':
    load_profile()
    main(Path(sys.argv[1] if sys.argv[1:] else 'labels.extxyz'))
