"""Where a search stands, and how much is still to come."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida import orm

from aiida_prospect.methods.labels import count_labels, count_usable, lowest_energy
from aiida_prospect.workflows.provenance.calls import called, jobs_below
from aiida_prospect.workflows.provenance.cycles import Cycle, load_cycles
from aiida_prospect.workflows.provenance.times import seconds_of
from aiida_prospect.workflows.search_inputs import count_given

STAGES = {
    'pool': 'making the pool',
    'select': 'choosing candidates',
    'label': 'labelling',
    'final_label': 'relaxing the lowest with the reference method',
    'train': 'training the ensemble',
    'refill': 'renewing the pool',
    'explore': 'relaxing the pool',
    'cluster': 'clustering',
    'assess': 'assessing',
    'decide_stop': 'assessing',
    'rank': 'ranking the minima',
    'extract': 'storing the minima',
    'join_labels': 'gathering the labels',
    'evaluate': 'evaluating the ensemble',
    'audit_labels': 'judging the labels',
    'label_again': 'labelling again',
    'compare_labels': 'comparing',
}
# As in `cycle_03_label`, `final_extract_01` or `pool`.
STEP = re.compile(r'(?:cycle_(\d+)_|(final)_)?(.*?)(?:_\d+)?')


def stage_in_words(label: str) -> tuple[str, str]:
    """Return where a search is and what it does there, from the label of a call: ``cycle_03_label``, ``pool``."""
    cycle, final, stage = STEP.fullmatch(label).groups()  # type: ignore[union-attr]  # it matches everything
    return f'cycle {int(cycle)}' if cycle else final or '', STAGES.get(f'{final}_{stage}') or STAGES.get(stage, stage)


def progress_of(search: orm.WorkChainNode) -> dict[str, Any]:
    """Tell where a search stands.

    :return: for JSON: ``state`` and ``ended``; ``where`` (``cycle 3``, ``final`` or nothing) and ``stage``, in words;
        ``jobs`` of that stage by phase, ``all_jobs`` of the search; ``labels``: ``made``, ``usable``, ``limit``,
        ``waiting`` (chosen, but without a label); ``best_energy`` (eV/atom); ``expected`` labels until the end,
        ``least`` and ``most``, ``None`` if unlimited; ``assessment`` and ``sentence`` in words; ``seconds``.
    :raises ValueError: if the process is no search.
    """
    cycles = load_cycles(search)
    steps = called(search.pk)
    current = max(steps, default=None)
    where, stage = stage_in_words(steps[current]) if current is not None else ('', 'starting')
    sets = [cycle.outputs['labels'].frames for cycle in cycles.values() if 'labels' in cycle.outputs]
    made = sum(count_labels(frames) for frames in sets)
    best = min((lowest_energy(frames) for frames in sets), default=np.inf)
    all_jobs = jobs_below(steps)
    assessed = [cycle.outputs['assessment'].get_dict() for cycle in cycles.values() if 'assessment' in cycle.outputs]
    return {
        'pk': search.pk,
        'state': search.process_state.value if search.process_state else None,
        'paused': bool(search.paused),
        'ended': search.is_terminated,
        'seconds': seconds_of(search),
        'where': where,
        'stage': stage,
        'jobs': dict(Counter(job.phase for job in all_jobs if job.root == current)),
        'all_jobs': dict(Counter(job.phase for job in all_jobs)),
        'labels': {
            'made': made,
            'usable': sum(count_usable(frames) for frames in sets),
            'limit': search.inputs.budget.get_dict().get('max_labels'),
            'waiting': _waiting(cycles),
        },
        'best_energy': float(best) if np.isfinite(best) else None,
        'expected': _expected(search, cycles, made, assessed[-1] if assessed else None),
        'assessment': assessed[-1]['reason'] if assessed else None,
        'sentence': ending_in_words(search),
    }


def ending_in_words(search: orm.WorkChainNode) -> str:
    """Say why a search has ended, or that it has not."""
    stop = search.outputs.stop['sentence'] if 'stop' in search.outputs else None
    if not search.is_terminated:
        return f'It goes on with the final relaxations: {stop}' if stop else 'It has not ended yet.'
    if search.is_finished_ok or (search.exit_status or 0) >= 500:
        return str(stop or search.exit_message or 'It has ended.')
    if search.is_killed:
        return 'It was killed before its end; `aiida-prospect restart` takes it up.'
    cause = search.exit_message or search.exception or 'the cause is not known'
    return f'It failed before its end: {str(cause).strip().splitlines()[-1]}'


def _waiting(cycles: Mapping[int, Cycle]) -> int:
    """Count the candidates that have been chosen and have no label yet."""
    return sum(
        len(cycle.outputs['candidates'])
        for cycle in cycles.values()
        if 'candidates' in cycle.outputs and 'labels' not in cycle.outputs
    )


def _initial(search: orm.WorkChainNode) -> int:
    """Return how many labels the first cycle asks for, beyond those that were there."""
    restart = search.inputs.restart if 'restart' in search.inputs else {}
    return max(search.inputs.parameters['selection']['n_initial'] - count_given(restart), 0)


def _expected(
    search: orm.WorkChainNode, cycles: Mapping[int, Cycle], made: int, assessment: Mapping[str, Any] | None
) -> dict[str, int | None]:
    """Return how many labels will be made until the end, at least and at most, without the final relaxations.

    At least as many as the cycles bring that must still be quiet, none where only new crystals are missing; at most
    what the budget allows.
    """
    if search.is_terminated or 'stop' in search.outputs:
        return {'least': 0, 'most': 0}
    budget = search.inputs.budget.get_dict()
    selection = search.inputs.parameters['selection']
    waiting = _waiting(cycles)
    complete = sum('assessment' in cycle.outputs for cycle in cycles.values())
    has_labels = any('labels' in cycle.outputs and 'assessment' not in cycle.outputs for cycle in cycles.values())
    now = waiting or (0 if has_labels else selection['n_select'] if complete else _initial(search))
    quiet = 1
    if assessment is not None and not assessment.get('needs_labels', True):
        now = waiting
    elif assessment is not None:
        quiet = max(1, assessment['settings']['patience'] - assessment['stability']['quiet_cycles'])
    least, bounds = now + (quiet - 1) * selection['n_select'], []
    if budget.get('max_cycles') is not None:
        bounds.append(now + max(0, budget['max_cycles'] - complete - 1) * selection['n_select'])
    if budget.get('max_labels') is not None:
        bounds.append(max(0, budget['max_labels'] - made))
    most = min(bounds) if bounds else None
    return {'least': least if most is None else min(least, most), 'most': most}
