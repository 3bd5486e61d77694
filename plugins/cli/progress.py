"""What a search is doing, in one line."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_prospect.methods.labels import count_labels, lowest_energy
from aiida_prospect.workflows.provenance.calls import ENDED, called, jobs_below
from aiida_prospect.workflows.provenance.progress import stage_in_words
from aiida_prospect.workflows.search_inputs import own_labels


def describe(node: orm.WorkChainNode) -> tuple[str, str]:
    """Say in one line what a search is doing now.

    :return: a key that changes when the stage does, and the line.
    """
    steps = called(node.pk)
    if not steps:
        return 'start', 'starting'
    pk = max(steps)
    where, stage = stage_in_words(steps[pk])
    parts = [part for part in (where, stage, jobs(pk), standing(node, pk)) if part]
    return steps[pk], ' | '.join(parts)


@lru_cache(maxsize=10)
def standing(node: orm.WorkChainNode, _: int) -> str:
    """Say how far a search has come: labels made and left, lowest energy, errors of the ensemble.

    :param _: the current step; what a search returned changes only between steps.
    """
    returned = {link.link_label: link.node.pk for link in node.base.links.get_outgoing(link_type=LinkType.RETURN).all()}
    taken_over = node.inputs.restart.get('labels', {}) if 'restart' in node.inputs else {}
    taken_over = own_labels(taken_over)
    made_here = [pk for name, pk in returned.items() if name.endswith('__labels')]
    labels = [_labels_in(pk) for pk in (*made_here, *(dataset.pk for dataset in taken_over.values()))]
    if not labels:
        return ''
    limit = node.inputs.budget.get_dict().get('max_labels')
    made = sum(count for count, _ in labels)
    texts = [
        f'{made} of {limit} labels' if limit else f'{made} labels',
        f'best {min(e for _, e in labels):.3f} eV/atom',
    ]
    reports = sorted(name for name in returned if name.endswith('__training_report'))
    if reports:
        texts.append(_errors_in(returned[reports[-1]]))
    return ', '.join(texts)


@lru_cache(maxsize=100)
def _labels_in(pk: int) -> tuple[int, float]:
    frames = orm.load_node(pk).frames
    return count_labels(frames), lowest_energy(frames)


@lru_cache(maxsize=100)
def _errors_in(pk: int) -> str:
    errors = orm.load_node(pk).get_dict()['errors'].values()
    energy, forces = (sum(item[name] for item in errors) / len(errors) for name in ('energy', 'forces'))
    return f'ensemble error {1000 * energy:.0f} meV/atom, {forces:.2f} eV/Å'


def jobs(pk: int) -> str:
    """Count the jobs of a step, by what they are doing, with the progress that they tell of themselves."""
    states = {job.pk: job.state for job in jobs_below([pk])}
    if not states:
        return ''
    running = [job for job, state in states.items() if state not in ENDED]
    texts = [f'{len(states) - len(running)} of {len(states)} jobs done']
    told = [progress for job in running if (progress := _own_progress(job))]
    if told:
        texts.append(f'{sum(p["done"] for p in told)} of {sum(p["total"] for p in told)} structures in those that run')
    return ', '.join(texts)


@lru_cache(maxsize=1000)
def _local_folder(pk: int) -> Path | None:
    job = orm.load_node(pk)
    folder = job.get_remote_workdir()
    if folder is None:
        raise FileNotFoundError
    return Path(folder) if job.computer is not None and job.computer.transport_type == 'core.local' else None


def _own_progress(pk: int) -> dict[str, Any]:
    """Read the file in which our own jobs on this machine tell how far they are."""
    try:
        folder = _local_folder(pk)
        told: dict[str, Any] = json.loads((folder / 'progress.json').read_text()) if folder else {}
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return told if {'done', 'total'} <= told.keys() else {}
