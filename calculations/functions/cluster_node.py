"""Reading of the node in which ``cluster_pool`` keeps its clusters."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from aiida import orm

from aiida_prospect.common.frames import FloatArray, Frames
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.clusters import Clusters
from aiida_prospect.methods.fingerprints import FingerprintSettings, fingerprints


def read_clusters(node: orm.ArrayData) -> tuple[Clusters, FloatArray]:
    """Return the clusters of a pool and the (n_frames, d) fingerprints of its frames."""
    clusters = Clusters(*(node.get_array(name) for name in ('labels', 'representatives', 'energies')))
    return clusters, node.get_array('fingerprints').astype(np.float64)


def fingerprints_like(node: orm.ArrayData, frames: Frames) -> FloatArray:
    """Return the fingerprints of other frames, made as those of the pool; NaN where an element is not in the pool."""
    settings = FingerprintSettings(**node.base.attributes.get('fingerprint'))
    return fingerprints(frames, node.base.attributes.get('elements'), settings)


def labels_like(
    node: orm.ArrayData, labels: Mapping[str, DatasetData]
) -> tuple[dict[str, Frames], dict[str, FloatArray]]:
    """Return labelled frames and their fingerprints by name, the names in ascending order."""
    frames = {name: labels[name].frames for name in sorted(labels)}
    return frames, {name: fingerprints_like(node, part) for name, part in frames.items()}
