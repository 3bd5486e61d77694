"""Calculation function that makes labels of calculations that were made for other purposes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods import labels_quantumespresso, labels_vasp
from aiida_prospect.methods.labels import Run, label, summarise


def _read_pw(nodes: Mapping[str, orm.Data]) -> Run:
    trajectory = nodes['trajectory']
    arrays = (trajectory.get_array(name) for name in ('forces', 'stress'))
    return labels_quantumespresso.read_run(nodes['parameters'].get_dict(), *arrays)


def _read_vasp(nodes: Mapping[str, orm.Data]) -> Run:
    energy = None
    if 'retrieved' in nodes:
        with nodes['retrieved'].base.repository.open('vasprun.xml', 'rb') as handle:
            energy = labels_vasp.last_free_energy(handle)
    return labels_vasp.read_run(nodes['misc'].get_dict(), energy)


READERS: dict[str, Callable[[Mapping[str, orm.Data]], Run]] = {
    'quantumespresso.pw': _read_pw,
    'vasp.vasp': _read_vasp,
}


@calcfunction
def collect_earlier(sources: orm.Dict, **outputs: orm.Data) -> dict[str, orm.Data]:
    """Return labels, one for each calculation, and a report.

    :param sources: ``kinds``, the entry point of each calculation, by the name of the frame, and ``origins``, by that
        too.
    :param outputs: of the calculations: ``frame_0000_structure``, and what its reader reads.
    """
    kinds, origins = sources['kinds'], sources['origins']
    structures = [outputs[f'{key}_structure'].get_ase() for key in sorted(kinds)]
    runs = {}
    for index, key in enumerate(sorted(kinds)):
        nodes = {name.removeprefix(f'{key}_'): node for name, node in outputs.items() if name.startswith(f'{key}_')}
        runs[index] = replace(READERS[kinds[key]](nodes), steps=0)
    frames = Frames.from_atoms(
        structures,
        status=[''] * len(structures),
        reason=[''] * len(structures),
        origin=[origins[key] for key in sorted(kinds)],
        source=np.arange(len(structures)),
    )
    labels = label(frames, runs)
    return {'labels': DatasetData(labels), 'report': orm.Dict(summarise(labels, runs))}
