"""The report of a search: one page, and its figures as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aiida import orm

from aiida_prospect import __version__
from aiida_prospect.methods.report.page import Page, write_page
from aiida_prospect.workflows.report import sections
from aiida_prospect.workflows.report.material import Material, gather
from aiida_prospect.workflows.report.minima import describe_minima


def write_report(search: orm.WorkChainNode, folder: Path) -> Path:
    """Write a report of a search, whether it runs, has ended or has failed.

    :param folder: is made; ``index.html`` and ``figures`` in it are replaced.
    :return: the path of the page.
    :raises ValueError: if the process is no search.
    """
    return write_page(make_page(gather(search)), folder)


def make_page(material: Material) -> Page:
    """Return the page."""
    summary = material.summary
    formula = ''.join(f'{element}{count}' for element, count in summary['composition'].items())
    method = summary['label_workflow'].removeprefix('prospect.label.')
    return Page(
        title=f'{formula}: search {summary["pk"]}',
        subtitle=f'Crystal structures of {formula}; labels by {method}, strategy {summary["strategy"]}, '
        f'seed {summary["seed"]}, begun {summary["started"][:16].replace("T", " ")}.',
        state=_state(material),
        ending=_ending(material),
        facts=_facts(material),
        minima=describe_minima(material),
        sections=[
            sections.course(material),
            sections.quality(material),
            sections.pool_map(material),
            sections.cost(material),
            sections.losses(material),
        ],
        settings=_settings(material.search),
        footer=f'Written by aiida-prospect {__version__}. UUID of the search: {summary["uuid"]}.',
    )


def _state(material: Material) -> str:
    search = material.search
    if not search.is_terminated:
        return 'running'
    if search.is_killed:
        return 'killed'
    stop = material.summary['stop']
    if search.is_finished and (search.exit_status == 0 or (search.exit_status or 0) >= 500):
        return 'converged' if stop and stop['reason'] == 'converged' else 'budget spent'
    return 'failed'


def _ending(material: Material) -> str:
    progress = material.progress
    sentence = str(progress['sentence'])
    if not progress['ended']:
        where = ', '.join(part for part in (progress['where'], progress['stage']) if part)
        least, most = progress['expected']['least'], progress['expected']['most']
        expected = f'at least {least}' if most is None else f'{least} to {most}'
        return f'{sentence} Now: {where}. Labels still expected: {expected}.'
    # The page has the state before it.
    sentence = sentence.removeprefix('converged: ')
    return sentence[:1].upper() + sentence[1:] + ('' if sentence.endswith('.') else '.')


def _facts(material: Material) -> dict[str, str]:
    summary, progress = material.summary, material.progress
    minima = (summary['ranking'] or {}).get('minima', [])
    energies = [item['energy_per_atom'] for item in minima]
    best = min(energies, default=progress['best_energy'])
    labels = progress['labels']
    facts = {
        'minima': str(len(minima)) if minima else 'none yet',
        'lowest energy': 'not known' if best is None else f'{best:.4f} eV/atom',
        'labels': f'{labels["made"]} of {labels["limit"]}' if labels['limit'] else str(labels['made']),
        'cycles': str(len(material.cycles)),
        'wall time': _duration(progress['seconds']),
        'core time': _duration(material.cost['total']['core_seconds'] or 0.0),
    }
    if summary['final_relaxation']:
        facts['final evaluations'] = str(summary['final_relaxation']['evaluations'])
    return facts


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f'{seconds:.0f} s'
    return f'{seconds / 60:.0f} min' if seconds < 7200 else f'{seconds / 3600:.1f} h'


def _settings(search: orm.WorkChainNode) -> dict[str, str]:
    inputs = search.inputs
    values: dict[str, Any] = {
        'budget': inputs.budget.get_dict(),
        'pool': inputs.pool.parameters.get_dict(),
        **inputs.parameters.get_dict(),
        'models': inputs.train.n_models.value,
        'force field': inputs.train.member_workflow.value,
    }
    return {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}
