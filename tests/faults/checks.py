"""What must hold after a search that was disturbed."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from aiida import orm
from installation import command
from scene import STAGES, stage_of

# Exit statuses of a search with a result.
ENDED_WELL = (0, 501)
SAME_MINIMUM = 0.001  # eV/atom


def describe(search: orm.WorkChainNode, seconds: float) -> dict[str, Any]:
    """Return what a search came to."""
    labels = {}
    for stage in (name for name, kind in STAGES.items() if kind == 'label'):
        cycle = stage.removesuffix('_label')
        if cycle in search.outputs and 'labels' in search.outputs[cycle]:
            frames = search.outputs[cycle].labels.frames
            rows = zip(
                frames.known('origin'), frames.known('status'), frames.known('reason'), frames.energy, strict=True
            )
            labels[cycle] = [
                {'origin': str(o), 'status': str(s), 'reason': str(r), 'energy': None if np.isnan(e) else float(e)}
                for o, s, r, e in rows
            ]
    minima = []
    if 'minima' in search.outputs:
        frames = search.outputs.minima.frames
        minima = (frames.energy / np.diff(frames.offsets)).tolist()
    return {
        'exit_status': search.exit_status,
        'exit_message': search.exit_message,
        'minima': minima,
        'labels': labels,
        'seconds': round(seconds),
        'jobs': dict(Counter(stage_of(job, search.pk) for job in jobs_of(search))),
    }


def jobs_of(search: orm.WorkChainNode) -> list[orm.CalcJobNode]:
    """Return all jobs of a search."""
    return [node for node in search.called_descendants if isinstance(node, orm.CalcJobNode)]


def check(
    search: orm.WorkChainNode, told: dict[str, Any], undisturbed: dict[str, Any], log: Path, spoiled: int
) -> dict[str, str]:
    """Return, for each law, an empty text, or what is wrong.

    :param told: from :func:`describe`.
    :param undisturbed: the same of a search that nothing happened to.
    :param log: of `aiida-prospect watch`.
    :param spoiled: how many labels have no numbers on purpose.
    """
    said = reports(search)
    jobs = jobs_of(search)
    return {
        'the search ended': _ended(told),
        'the same lowest minimum': _lowest(told, undisturbed, spoiled),
        'no label lost': _labels(search, told, undisturbed, spoiled),
        'nothing computed twice': _repeats(search, jobs, said),
        'no process stuck': _stuck(search),
        'every loss reported': _reported(jobs, told, said + log.read_text()),
    }


def reports(search: orm.WorkChainNode) -> str:
    """Return all that was reported by the processes of a search."""
    pks = [search.pk, *(node.pk for node in search.called_descendants)]
    filters = {'dbnode_id': {'in': pks}}
    return '\n'.join(orm.QueryBuilder().append(orm.Log, filters=filters, project='message').all(flat=True))


def _ended(told: dict[str, Any]) -> str:
    return '' if told['exit_status'] in ENDED_WELL else f'{told["exit_status"]}: {told["exit_message"]}'


def _lowest(told: dict[str, Any], undisturbed: dict[str, Any], spoiled: int) -> str:
    """With labels taken from it a search goes another way, which may lead further down, but not less far."""
    if not told['minima']:
        return 'there are no minima'
    difference = told['minima'][0] - undisturbed['minima'][0]
    right = difference < SAME_MINIMUM if spoiled else abs(difference) < SAME_MINIMUM
    return '' if right else f'{1000 * difference:+.2f} meV/atom'


def _labels(search: orm.WorkChainNode, told: dict[str, Any], undisturbed: dict[str, Any], spoiled: int) -> str:
    wrong = []
    for stage in (name for name, kind in STAGES.items() if kind == 'label'):
        cycle = stage.removesuffix('_label')
        if cycle not in search.outputs:
            wrong.append(f'{stage} has no candidates')
            continue
        outputs = search.outputs[cycle]
        if 'labels' not in outputs:
            wrong.append(f'{stage} has no labels')
        else:
            asked, given = (outputs[name].frames.known('origin').tolist() for name in ('candidates', 'labels'))
            if asked != given or not all(outputs['labels'].frames.known('status')):
                wrong.append(f'{stage}: asked for {asked}, given {given}')
    more = _without_numbers(told) - _without_numbers(undisturbed)
    if more > spoiled:
        wrong.append(f'{more} more labels without numbers than in the undisturbed search, {spoiled} on purpose')
    return '; '.join(wrong)


def _without_numbers(told: dict[str, Any]) -> int:
    return sum(row['status'] != 'ok' for labels in told['labels'].values() for row in labels)


def _repeats(search: orm.WorkChainNode, jobs: list[orm.CalcJobNode], said: str) -> str:
    """A second job for the same is allowed only after one that was lost and reported; SLURM has each job once."""
    wrong, by_caller = [], defaultdict(list)
    for job in sorted(jobs, key=lambda job: job.pk):
        by_caller[job.caller.pk].append(job)
    for same in by_caller.values():
        for before in same[:-1]:
            computed = before.get_job_id() is not None
            if computed and (not before.exit_status or f'<{before.pk}>' not in said):
                wrong.append(f'{before.process_label}<{before.pk}> was repeated without a loss')
    wrong += [f'{label} was submitted {number} times' for label, number in _submissions(search).items() if number > 1]
    by_stage = Counter(stage_of(job, search.pk) for job in jobs)
    wrong += [f'{stage} has no job' for stage in STAGES if not by_stage[stage]]
    accounted = accounts({f'aiida-{job.pk}' for job in jobs if job.get_job_id()})
    wrong += [
        f'{name} is {len(states)} jobs of SLURM: {states}' for name, states in accounted.items() if len(states) != 1
    ]
    return '; '.join(wrong)


def _submissions(search: orm.WorkChainNode) -> Counter[str]:
    """Count the work chains of each caller and label; one that was killed was nobody's any more."""
    chains = [node for node in search.called_descendants if isinstance(node, orm.WorkChainNode) and not node.is_killed]
    links = (node.base.links.get_incoming(orm.ProcessNode).one() for node in chains)
    return Counter(f'{link.link_label} of {link.node.pk}' for link in links)


def accounts(names: set[str], timeout: float = 60) -> dict[str, list[str]]:
    """Return the states of the jobs of SLURM of these names."""
    deadline = time.monotonic() + timeout
    while True:
        told = command('sacct', '-n', '-P', '-X', '-S', 'now-1days', '-o', 'JobName,State')
        found = {name: [] for name in names}
        for line in told.splitlines():
            name, _, state = line.partition('|')
            if name in found:
                found[name].append(state)
        if all(states and 'RUNNING' not in states for states in found.values()) or time.monotonic() > deadline:
            return found
        time.sleep(1)


def _stuck(search: orm.WorkChainNode) -> str:
    filters = {'id': {'>=': search.pk}, 'attributes.process_state': {'in': ['created', 'running', 'waiting']}}
    query = orm.QueryBuilder().append(orm.ProcessNode, filters=filters, project=['id', 'attributes.process_label'])
    stuck = [f'{label}<{pk}>' for pk, label in query.all()]
    queue = command('squeue', '-h', '-o', '%j %T').split('\n')
    return '; '.join(stuck + [f'in the queue: {line}' for line in queue if line.strip()])


def _reported(jobs: list[orm.CalcJobNode], told: dict[str, Any], said: str) -> str:
    silent = [
        f'{job.process_label}<{job.pk}> is {job.process_state.value} with {job.exit_status}, and nobody says so'
        for job in jobs
        if job.is_terminated and not job.is_finished_ok and f'<{job.pk}>' not in said
    ]
    for cycle, labels in told['labels'].items():
        silent += [
            f'{cycle}: {row["origin"]} has no reason' for row in labels if row['status'] != 'ok' and not row['reason']
        ]
    return '; '.join(silent)


def differing_labels(told: dict[str, Any], undisturbed: dict[str, Any]) -> str:
    """Return in words which labels are others than those of the undisturbed search."""
    words = []
    for cycle, wanted in undisturbed['labels'].items():
        given = {row['origin']: row for row in told['labels'].get(cycle, [])}
        other = sum(row['origin'] not in given for row in wanted)
        lost = sum(row['status'] != 'ok' for row in given.values())
        moved = sum(
            row['origin'] in given
            and None not in (row['energy'], given[row['origin']]['energy'])
            and abs(row['energy'] - given[row['origin']]['energy']) > 1e-8
            for row in wanted
        )
        if other or lost or moved:
            words.append(f'{cycle}: {other} other candidates, {lost} without numbers, {moved} with other energies')
    return '; '.join(words)
