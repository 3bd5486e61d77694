"""Which process labelled a frame, and what that cost."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiida import orm

from aiida_prospect.common.enums import LabelStatus
from aiida_prospect.common.frames import Frames
from aiida_prospect.workflows.provenance.calls import among, calls_of, reports_of
from aiida_prospect.workflows.provenance.cycles import Cycle

# A job for several of the frames is named after the first and the last of them.
OF_BUNDLE = re.compile(r'frames_(\d+)_(\d+)_')


@dataclass(frozen=True)
class Labelling:
    """How a frame was labelled.

    :param process: PK of the process, one for the frame or one for many; ``None`` if the method was not asked.
    :param code: full label.
    :param core_seconds: of this frame; its part, by evaluations, where one job did many; ``None`` if unknown yet.
    """

    process: int | None = None
    code: str = ''
    core_seconds: float | None = None


def labellings(cycles: Iterable[Cycle]) -> dict[int, list[Labelling]]:
    """Return how each candidate was labelled, by number of the cycle; four queries for all cycles."""
    cycles = [cycle for cycle in cycles if 'candidates' in cycle.outputs or 'labels' in cycle.outputs]
    asked = {cycle.number: cycle.steps['label'].pk for cycle in cycles if 'label' in cycle.steps}
    codes, reports = _codes(asked.values()), reports_of(asked.values())
    calls = calls_of(asked.values())
    noted = _noted(cycle.outputs['labels'].pk for cycle in cycles if 'labels' in cycle.outputs)
    result = {}
    for cycle in cycles:
        frames = cycle.frames('labels')
        pk = asked.get(cycle.number, -1)
        processes = _processes([(child, label, kind) for caller, child, label, kind in calls if caller == pk])
        size = len(cycle.outputs['labels' if frames is not None else 'candidates'])
        costs: list[float | None] = [None] * size
        if frames is not None:
            own = noted.get(cycle.outputs['labels'].pk)
            costs = _costs_noted(own, size) if own else _costs_shared(frames, reports.get(pk, {}))
        rejected = [False] * size if frames is None else frames.known('status') == LabelStatus.REJECTED.value
        result[cycle.number] = [
            Labelling(None if rejected[i] else processes.get(i, processes.get(-1)), codes.get(pk, ''), costs[i])
            for i in range(size)
        ]
    return result


def _codes(pks: Iterable[int]) -> dict[int, str]:
    query = orm.QueryBuilder()
    query.append(orm.WorkflowNode, filters={'id': among(pks)}, tag='owner', project='id')
    query.append(orm.AbstractCode, with_outgoing='owner', edge_filters={'label': 'code'}, project='*')
    return {pk: code.full_label for pk, code in query.all()}


def _processes(calls: Iterable[tuple[int, str, str]]) -> dict[int, int]:
    """Return the processes by frame; one for all stands under −1."""
    found: dict[int, int] = {}
    for pk, label, kind in sorted(calls):
        several = OF_BUNDLE.match(label)
        # Where each frame has a process of its own, the call is named after it: `frame_0003`, `frame_0003_again_1`.
        if label.startswith('frame_'):
            found[int(label.split('_')[1])] = pk
        elif several:
            found |= dict.fromkeys(range(int(several[1]), int(several[2]) + 1), pk)
        elif 'calcfunction' not in kind:
            found[-1] = pk
    return found


def _noted(labels: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Return what was noted of each frame, for labels that were collected frame by frame."""
    query = orm.QueryBuilder()
    query.append(orm.Data, filters={'id': among(labels)}, tag='labels', project='id')
    query.append(orm.CalcFunctionNode, with_outgoing='labels', tag='creator')
    query.append(orm.Dict, with_outgoing='creator', filters={'attributes': {'has_key': 'frames'}}, project='attributes')
    return {pk: content['frames'] for pk, content in query.all() if isinstance(content['frames'], dict)}


def _costs_noted(noted: Mapping[str, Any], size: int) -> list[float | None]:
    return [float(noted.get(str(index), {}).get('core_seconds', 0.0)) for index in range(size)]


def _costs_shared(frames: Frames, report: Mapping[str, Any]) -> list[float | None]:
    """Share the cost of a labelling out by the evaluations that each frame took."""
    steps = None if frames.steps is None else frames.steps.clip(min=0)
    if 'core_seconds' not in report or steps is None or not steps.sum():
        return [None] * len(frames)
    return [float(report['core_seconds'] * share) for share in steps / steps.sum()]
