"""For audits that label again: the calculation function that compares new labels with old ones, and replaces these."""

from __future__ import annotations

from typing import Any

import numpy as np
from aiida.engine import calcfunction
from aiida.orm import Dict

from aiida_prospect.calculations.functions.joined_labels import joined, places, starts
from aiida_prospect.common.enums import LabelStatus
from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.audit import compare

LABELS = ('energy', 'forces', 'stress')


@calcfunction
def compare_labels(recomputed: DatasetData, **labels: DatasetData) -> dict[str, Any]:
    """Compare labels made again after an audit with the old ones, see :func:`aiida_prospect.methods.audit.compare`.

    :param recomputed: labels whose ``source`` is the index among all frames of ``labels``, in the order of the names.
    :return: ``changes`` with ``frames``, and ``corrected``: the sets that have frames which were labelled again with
        success, with the new labels in the place of the old ones.
    """
    new, frames, where = recomputed.frames, joined(labels), places(labels)
    source = new.known('source')
    rows = [
        {'set': where[index][0], 'index': where[index][1], **row}
        for index, row in zip(source.tolist(), compare(frames.select(source), new), strict=True)
    ]
    corrected, good = {}, new.known('status') == LabelStatus.OK.value
    for name, start in starts(labels).items():
        inside = good & (source >= start) & (source < start + len(labels[name]))
        if inside.any():
            corrected[name] = DatasetData(put(labels[name].frames, new.select(inside), source[inside] - start))
    return {'changes': Dict({'frames': rows}), **({'corrected': corrected} if corrected else {})}


def put(frames: Frames, new: Frames, indices: np.ndarray) -> Frames:
    """Return frames with the labels of some replaced; their reason says so.

    :param new: labels of the frames ``indices``, in that order.
    """
    values = {name: getattr(frames, name).copy() for name in LABELS if getattr(frames, name) is not None}
    reason = [''] * len(frames) if frames.reason is None else frames.reason.tolist()
    for row, index in enumerate(indices.tolist()):
        atoms = slice(frames.offsets[index], frames.offsets[index + 1])
        for name, value in values.items():
            part = new[row].known(name)
            value[atoms if name == 'forces' else index] = part if name == 'forces' else part[0]
        reason[index] = 'labelled again after an audit'
    return frames.replace(**values, reason=reason)
