"""What was labelled: status, energy, cost and code of every candidate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from aiida import orm

from aiida_prospect.common.frames import Frames
from aiida_prospect.workflows.provenance.costs_of_labels import Labelling, labellings
from aiida_prospect.workflows.provenance.cycles import Cycle, load_cycles

WAITING = 'waiting'
SORTED_BY = ('index', 'energy', 'cost')


@dataclass(frozen=True)
class LabelFilter:
    """Which labels are wanted; ``None`` stands for all.

    :param cost: core seconds that a label took at least.
    :param code: part of the full label of the code.
    """

    status: str | None = None
    cycle: int | None = None
    cost: float | None = None
    code: str | None = None

    def accepts(self, row: Mapping[str, Any]) -> bool:
        """Tell whether a label is wanted."""
        return (
            self.status in (None, row['status'])
            and self.cycle in (None, row['cycle'])
            and (self.cost is None or (row['core_seconds'] or 0.0) >= self.cost)
            and (self.code is None or self.code in row['code'])
        )


def list_labels(
    search: orm.WorkChainNode, wanted: LabelFilter | None = None, sorted_by: str = 'index'
) -> dict[str, Any]:
    """List the candidates of a search with what came of them.

    :param wanted: which.
    :param sorted_by: ``index`` (over all cycles), ``energy`` (the lowest first) or ``cost`` (the highest first).
    :return: for JSON: ``labels``, each with ``index``, ``cycle``, ``frame``, ``origin``, ``formula``, ``status``,
        ``reason`` (why that status), ``chosen`` (why it was chosen), ``energy_per_atom`` (eV), ``max_force`` (eV/Å),
        ``core_seconds``, ``code`` and ``process`` (PK); and for those listed ``by_status``, ``by_code`` and
        ``core_seconds``. A candidate without a label yet is ``waiting``.
    :raises ValueError: if the process is no search, or the order unknown.
    """
    if sorted_by not in SORTED_BY:
        raise ValueError(f'labels cannot be sorted by `{sorted_by}`; choose one of: {", ".join(SORTED_BY)}')
    rows: list[dict[str, Any]] = []
    cycles = load_cycles(search)
    how = labellings(cycles.values())
    for cycle in cycles.values():
        rows += _rows(cycle, how.get(cycle.number, []), first=len(rows))
    listed = _sort([row for row in rows if (wanted or LabelFilter()).accepts(row)], sorted_by)
    return {
        'labels': listed,
        'by_status': dict(Counter(row['status'] for row in listed)),
        'by_code': dict(Counter(row['code'] for row in listed)),
        'core_seconds': sum(row['core_seconds'] or 0.0 for row in listed),
    }


def _sort(rows: Sequence[dict[str, Any]], by: str) -> list[dict[str, Any]]:
    if by == 'energy':
        return sorted(rows, key=lambda row: np.inf if row['energy_per_atom'] is None else row['energy_per_atom'])
    if by == 'cost':
        return sorted(rows, key=lambda row: -(row['core_seconds'] or 0.0))
    return list(rows)


def _rows(cycle: Cycle, how: Sequence[Labelling], first: int) -> list[dict[str, Any]]:
    labels, candidates = cycle.frames('labels'), cycle.frames('candidates')
    frames = labels if labels is not None else candidates
    if frames is None:
        return []
    chosen = candidates.known('reason').tolist() if candidates is not None else [''] * len(frames)
    facts = describe_labels(labels) if labels is not None else [_nothing_yet()] * len(frames)
    return [
        {
            'index': first + frame,
            'cycle': cycle.number,
            'frame': frame,
            'origin': str(frames.origin[frame]) if frames.origin is not None else '',
            'formula': formula,
            'chosen': chosen[frame],
            **facts[frame],
            'core_seconds': how[frame].core_seconds,
            'code': how[frame].code,
            'process': how[frame].process,
        }
        for frame, formula in enumerate(frames.formulas)
    ]


def _nothing_yet() -> dict[str, Any]:
    return {'status': WAITING, 'reason': '', 'energy_per_atom': None, 'max_force': None}


def describe_labels(labels: Frames) -> list[dict[str, Any]]:
    """Return status, reason, energy per atom (eV) and largest force (eV/Å) of each label, ``None`` if unknown."""
    energies, forces = labels.energy_per_atom.tolist(), labels.max_force.tolist()
    return [
        {
            'status': str(labels.known('status')[frame]),
            'reason': str(labels.reason[frame]) if labels.reason is not None else '',
            'energy_per_atom': known(energies[frame]),
            'max_force': known(forces[frame]),
        }
        for frame in range(len(labels))
    ]


def known(value: float | None) -> float | None:
    """Return a number, or ``None`` if it is not finite."""
    return None if value is None or not np.isfinite(value) else float(value)
