"""Calculation function that joins what the jobs of a labelling found."""

from __future__ import annotations

from aiida import orm
from aiida.engine import calcfunction

from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.labels import NO_RESULT, label, runs_of_parts, share_cost, summarise


@calcfunction
def merge_labels(screened: DatasetData, costs: orm.Dict, **parts: DatasetData) -> dict[str, orm.Data]:
    """Return the labels of all candidates from jobs that label many frames each, and a report.

    :param costs: taken over into the report; its ``failure`` is the reason of frames that no part is about.
    :param parts: evaluated or relaxed frames; of two that are about the same frame the later key counts.
    """
    runs = runs_of_parts([parts[key].frames for key in sorted(parts)])
    runs = share_cost(runs, costs.get('core_seconds', 0.0))
    labels = label(screened.frames, runs, otherwise=costs.get('failure', NO_RESULT))
    return {'labels': DatasetData(labels), 'report': orm.Dict(summarise(labels, runs, **costs.get_dict()))}
