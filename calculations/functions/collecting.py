"""What the calculation functions that make labels of the outputs of another plugin have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from aiida import orm

from aiida_prospect.common.enums import LabelStatus
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.labels import Run, label, summarise


def collect(
    screened: DatasetData, outcomes: orm.Dict, outputs: Mapping[str, orm.Data], read: Callable[[str], Run]
) -> dict[str, orm.Data]:
    """Return the labels of all candidates, and a report.

    :param outcomes: ``frames``: by index a dictionary of ``key``, ``status``, ``reason``, ``steps``, ``core_seconds``
        and ``memory_mb``; and ``costs``, which go into the report.
    :param outputs: if the atoms of a run moved, ``{key}_structure``.
    :param read: returns what a run that is ``ok`` found, by its key.
    """
    runs = {}
    for index, outcome in outcomes['frames'].items():
        key, status = outcome['key'], LabelStatus(outcome['status'])
        run = read(key) if status is LabelStatus.OK else Run(status)
        if f'{key}_structure' in outputs:
            atoms = outputs[f'{key}_structure'].get_ase()
            run = replace(run, positions=atoms.positions, cell=atoms.cell.array)
        known = {name: outcome[name] for name in ('steps', 'core_seconds', 'memory_mb')}
        runs[int(index)] = replace(run, reason=run.reason or outcome['reason'], **known)
    labels = label(screened.frames, runs)
    return {'labels': DatasetData(labels), 'report': orm.Dict(summarise(labels, runs, **outcomes['costs']))}
