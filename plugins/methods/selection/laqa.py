"""Selection of the reference algorithm (Hessmann et al. 2025): one frame of each cluster, by the LAQA score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.cluster import DBSCAN
from sklearn.preprocessing import StandardScaler

from aiida_prospect.common.frames import FloatArray, IntArray
from aiida_prospect.methods.selection.base import Choice, SelectionRequest, draw


@dataclass(frozen=True)
class LaqaSettings:
    """The published numbers.

    :param eps: radius of DBSCAN on standardised features.
    :param min_samples: of DBSCAN.
    :param force_weight: of the largest force in the score, Å.
    :param displacement: of the atoms of chosen frames in cycle 0 of the formula below, Å.
    :param displacement_decay: factor per cycle; none are displaced in cycle 0.
    """

    eps: float = 0.5
    min_samples: int = 2
    force_weight: float = 0.5
    displacement: float = 0.4
    displacement_decay: float = 0.6


def select(request: SelectionRequest) -> list[Choice]:
    """Choose the frame of lowest score E/N − 0.5 Å · F_max in each cluster, lowest scores first; at random in cycle 0.

    Look-ahead based quadratic approximation (LAQA): Terayama et al., npj Comput. Mater. 4, 32 (2018). The features are
    the fingerprints, which are averages over atoms as those of the authors. A frame that DBSCAN calls noise is like no
    other and counts as a cluster of its own.
    """
    settings = request.settings(LaqaSettings)
    if not request.explored:
        return draw(request)
    eligible = np.flatnonzero(request.eligible)
    if not len(eligible):
        return []
    clusters = _clusters(request.fingerprints[eligible], settings)
    score = request.height[eligible] - settings.force_weight * request.pool.max_force[eligible]
    order = np.lexsort((eligible, score))
    _, first = np.unique(clusters[order], return_index=True)
    best = eligible[order[np.sort(first)]][: request.n_select]
    scores = dict(zip(eligible.tolist(), score.tolist(), strict=True))
    width = settings.displacement * settings.displacement_decay**request.cycle if request.cycle else 0.0
    return [
        Choice(int(i), f'lowest score of its cluster, {scores[int(i)]:.3f} eV: {request.describe(int(i))}', width)
        for i in best
    ]


def _clusters(features: FloatArray, settings: LaqaSettings) -> IntArray:
    standard = StandardScaler().fit_transform(features)
    labels = np.asarray(DBSCAN(eps=settings.eps, min_samples=settings.min_samples).fit_predict(standard))
    noise = np.flatnonzero(labels < 0)
    labels[noise] = labels.max(initial=-1) + 1 + np.arange(len(noise))
    return labels
