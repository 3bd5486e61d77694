"""Calculation function that makes labels of runs of pw.x."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_prospect.calculations.functions.collecting import collect
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.labels import Run
from aiida_prospect.methods.labels_quantumespresso import read_run


@calcfunction
def collect_quantumespresso(screened: DatasetData, outcomes: orm.Dict, **outputs: orm.Data) -> dict[str, orm.Data]:
    """Return the labels of all candidates from runs of pw.x, and a report.

    :param outcomes: see :func:`~aiida_prospect.calculations.functions.collecting.collect`.
    :param outputs: of the runs that are ``ok``: ``{key}_parameters``, ``{key}_trajectory`` and, if the atoms moved,
        ``{key}_structure``.
    """

    def read(key: str) -> Run:
        trajectory = outputs[f'{key}_trajectory']
        known = trajectory.get_arraynames()
        arrays = (trajectory.get_array(name) if name in known else None for name in ('forces', 'stress'))
        return read_run(outputs[f'{key}_parameters'].get_dict(), *arrays)

    return collect(screened, outcomes, outputs, read)
