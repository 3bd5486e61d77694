"""For audits of labels: the calculation function that finds those which the ensemble does not agree with."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np
from aiida.engine import calcfunction
from aiida.orm import Data, Dict

from aiida_prospect.calculations.functions.joined_labels import joined, places, reasons_to_leave_out
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.audit import UNITS, AuditSettings, Finding, Verdict, audit

KEPT = ('numbers', 'offsets', 'positions', 'cells', 'origin')


@calcfunction
def audit_labels(
    evaluated: DatasetData, parameters: Dict, acceptance: Dict | None = None, **labels: DatasetData
) -> dict[str, Data]:
    """Find the labels that their ensemble does not agree with, see :func:`aiida_prospect.methods.audit.audit`.

    :param evaluated: what the ensemble, or a fit without the frame, says of each of the frames of ``join_labels``.
    :param parameters: fields of :class:`~aiida_prospect.methods.audit.AuditSettings`.
    :param acceptance: of ``clean_labels``: what the ensemble was not trained on.
    :return: ``report`` with ``frames``, one entry each, ``by_verdict`` and ``units``; ``suspects``, if there are any:
        the doubted structures without their labels, ``source`` is the index among all.
    """
    frames, where = joined(labels), places(labels)
    left_out = reasons_to_leave_out(labels, acceptance)
    findings = audit(frames, evaluated.frames, left_out, AuditSettings(**parameters.get_dict()))
    rows = [
        {'set': name, 'index': index, 'origin': _origin(frames.origin, row), **_plain(finding)}
        for row, ((name, index), finding) in enumerate(zip(where, findings, strict=True))
    ]
    counts = {str(verdict): sum(finding.verdict is verdict for finding in findings) for verdict in Verdict}
    report = Dict({'frames': rows, 'by_verdict': counts, 'units': UNITS, 'parameters': parameters.get_dict()})
    suspects = np.flatnonzero([finding.verdict is Verdict.SUSPECT for finding in findings])
    if not len(suspects):
        return {'report': report}
    bare = frames.without(*(set(frames.arrays()) - set(KEPT)))
    return {'report': report, 'suspects': DatasetData(bare.select(suspects).replace(source=suspects))}


def _origin(origin: Any, row: int) -> str:
    return '' if origin is None else str(origin[row])


def _plain(finding: Finding) -> dict[str, Any]:
    values = {**asdict(finding), 'verdict': str(finding.verdict)}
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in values.items()
    }
