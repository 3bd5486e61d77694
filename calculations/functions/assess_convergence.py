"""Calculation function that judges whether a search is at its end."""

from typing import Any

from aiida import orm
from aiida.engine import calcfunction

from aiida_prospect.calculations.functions.cluster_node import labels_like, read_clusters
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.convergence import ConvergenceSettings, assess


@calcfunction
def assess_convergence(
    pool: DatasetData, clusters: orm.ArrayData, parameters: orm.Dict, previous: Any = None, **labels: Any
) -> dict[str, orm.Dict]:
    """Judge whether the lowest minima are stable and confirmed, see :func:`aiida_prospect.methods.convergence.assess`.

    :param parameters: those of :class:`ConvergenceSettings`, and the number of the ``cycle``.
    :param previous: the assessment of the cycle before, needed for a patience of more than one cycle.
    :param labels: of all cycles so far, by names that sort by cycle.
    """
    values = parameters.get_dict()
    cycle = values.pop('cycle')
    minima, spectra = read_clusters(clusters)
    labelled, labelled_spectra = labels_like(clusters, labels)
    before = previous.get_dict() if previous is not None else None
    settings = ConvergenceSettings(**values)
    assessment = assess(pool.frames, minima, spectra, labelled, labelled_spectra, settings, before)
    return {'assessment': orm.Dict({'cycle': cycle, **assessment})}
