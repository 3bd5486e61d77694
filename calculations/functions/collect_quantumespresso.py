"""Calculation function that makes labels of runs of pw.x."""

from __future__ import annotations

from dataclasses import replace

from aiida import orm
from aiida.engine import calcfunction

from aiida_prospect.common.enums import LabelStatus
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.labels import Run, label, summarise
from aiida_prospect.methods.labels_quantumespresso import read_run


@calcfunction
def collect_quantumespresso(screened: DatasetData, outcomes: orm.Dict, **outputs: orm.Data) -> dict[str, orm.Data]:
    """Return the labels of all candidates, and a report.

    :param outcomes: ``frames``: by index a dictionary of ``key``, ``status``, ``reason`` and ``steps``; and ``costs``,
        which go into the report.
    :param outputs: of the runs that are ``ok``: ``{key}_parameters``, ``{key}_trajectory`` and, if the atoms moved,
        ``{key}_structure``.
    """
    runs = {}
    for index, outcome in outcomes['frames'].items():
        key, run = outcome['key'], Run(LabelStatus(outcome['status']), outcome['reason'], steps=outcome['steps'])
        if run.status is LabelStatus.OK:
            trajectory, parameters = outputs[f'{key}_trajectory'], outputs[f'{key}_parameters'].get_dict()
            arrays = (trajectory.get_array(name) for name in ('forces', 'stress'))
            run = read_run(parameters, *arrays, reason=run.reason, steps=run.steps)
            if f'{key}_structure' in outputs:
                atoms = outputs[f'{key}_structure'].get_ase()
                run = replace(run, positions=atoms.positions, cell=atoms.cell.array)
        runs[int(index)] = run
    labels = label(screened.frames, runs)
    return {'labels': DatasetData(labels), 'report': orm.Dict(summarise(labels, **outcomes['costs']))}
