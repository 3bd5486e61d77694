"""Calculation function that chooses what is relaxed with the reference method."""

from typing import Any

import numpy as np
from aiida import orm
from aiida.engine import calcfunction

from aiida_prospect.calculations.functions.cluster_node import labels_like, read_clusters
from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.finalists import choose_finalists


@calcfunction
def select_finalists(pool: DatasetData, clusters: orm.ArrayData, parameters: orm.Dict, **labels: Any) -> DatasetData:
    """Choose what is relaxed at the end, see :func:`aiida_prospect.methods.finalists.choose_finalists`.

    :param parameters: its ``n_minima``, ``energy_window`` and ``tolerance``.
    :param labels: of all cycles.
    """
    minima, spectra = read_clusters(clusters)
    labelled, labelled_spectra = labels_like(clusters, labels)
    frames = Frames.concatenate(list(labelled.values()))
    known = np.concatenate([np.empty((0, spectra.shape[1])), *labelled_spectra.values()])
    # Labels that a search began with may be of other compositions of the same elements.
    alike = np.isin(frames.reduced_formulas, sorted(set(pool.frames.reduced_formulas)))
    chosen = choose_finalists(
        pool.frames, spectra, minima.representatives, frames.select(alike), known[alike], **parameters.get_dict()
    )
    return DatasetData(chosen)
