"""Calculation function that makes labels of runs of VASP."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_prospect.calculations.functions.collecting import collect
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.labels_vasp import read_run


@calcfunction
def collect_vasp(screened: DatasetData, outcomes: orm.Dict, **outputs: orm.Data) -> dict[str, orm.Data]:
    """Return the labels of all candidates from runs of VASP, and a report.

    :param outcomes: see :func:`~aiida_prospect.calculations.functions.collecting.collect`.
    :param outputs: of the runs that are ``ok``: ``{key}_misc`` and, if the atoms moved, ``{key}_structure``.
    """
    return collect(screened, outcomes, outputs, lambda key: read_run(outputs[f'{key}_misc'].get_dict()))
