"""What there is to say of a search, from its provenance: running, ended or failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida import orm
from aiida.common.links import LinkType

from aiida_prospect.common.enums import LabelStatus
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.labels import count_labels, lowest_energy
from aiida_prospect.workflows.provenance.times import seconds_of
from aiida_prospect.workflows.search_inputs import CYCLE

STAGES = ('label', 'train', 'explore')


def summarise(node: orm.WorkChainNode) -> dict[str, Any]:
    """Return a JSON-able summary of a search.

    Energies are in eV/atom; costs in core seconds as the jobs reported them.
    """
    returned = node.base.links.get_outgoing(link_type=LinkType.RETURN).nested()
    called = {link.link_label: link.node for link in node.base.links.get_outgoing(link_type=LinkType.CALL_WORK).all()}
    inputs = node.inputs
    parameters = inputs.parameters.get_dict()
    seconds = _core_seconds(called)
    cycles = [_cycle(int(key[6:]), returned[key], seconds) for key in sorted(returned) if key.startswith('cycle_')]
    totals: Counter[str] = Counter()
    for cycle in cycles:
        totals.update(cycle['labels'])
    final = called.get('final_label')
    return {
        'pk': node.pk,
        'uuid': node.uuid,
        'state': node.process_state.value if node.process_state else None,
        'exit_status': node.exit_status,
        'exit_message': node.exit_message,
        'started': node.ctime.isoformat(),
        'seconds': seconds_of(node),
        'composition': inputs.pool.parameters['composition'],
        'seed': inputs.seed.value,
        'label_workflow': inputs.label_workflow.value,
        'strategy': parameters['selection']['strategy'],
        'budget': inputs.budget.get_dict(),
        'pool': returned['pool_report'].get_dict() if 'pool_report' in returned else None,
        'cycles': cycles,
        'initial_labels': _taken_over(inputs),
        'labels': {'total': sum(totals.values()) - totals[LabelStatus.REJECTED.value], 'by_status': dict(totals)},
        'final_relaxation': _final(final) if final else None,
        'stop': returned['stop'].get_dict() if 'stop' in returned else None,
        'ranking': returned['ranking'].get_dict() if 'ranking' in returned else None,
        'cost': _cost(cycles, seconds.get('final_label')),
    }


def _taken_over(inputs: Any) -> list[dict[str, Any]]:
    """Tell of the labels that were there when the search began: of an earlier search, or from elsewhere."""
    labels = inputs.restart.labels if 'restart' in inputs and 'labels' in inputs.restart else {}
    return [
        {
            'name': name,
            'pk': labels[name].pk,
            'from': labels[name].label or _maker(labels[name]),
            'of_a_search': name.startswith(CYCLE),
            'labels': dict(Counter(map(str, labels[name].frames.known('status')))),
        }
        for name in sorted(labels)
    ]


def _maker(node: orm.Node) -> str:
    return '' if node.creator is None else f'{node.creator.process_label}<{node.creator.pk}>'


def _core_seconds(called: Mapping[str, orm.WorkChainNode]) -> dict[str, float | None]:
    """Return what the reports of work chains tell, by the names of their calls; with one query for all of them."""
    if not called:
        return {}
    query = orm.QueryBuilder()
    query.append(
        orm.WorkChainNode, filters={'id': {'in': [node.pk for node in called.values()]}}, project='id', tag='of'
    )
    query.append(orm.Dict, with_incoming='of', edge_filters={'label': 'report'}, project='attributes.core_seconds')
    told = dict(query.all())
    return {name: told.get(node.pk) for name, node in called.items()}


def _cycle(number: int, returned: dict[str, Any], seconds: Mapping[str, float | None]) -> dict[str, Any]:
    key = f'cycle_{number:02d}'
    labels = returned['labels'].frames if 'labels' in returned else None
    return {
        'cycle': number,
        'candidates': len(returned['candidates']) if 'candidates' in returned else 0,
        'labels': dict(Counter(map(str, labels.known('status')))) if labels else {},
        'n_labels': count_labels(labels) if labels else 0,
        'lowest_label': _finite(lowest_energy(labels)) if labels else None,
        'label_energies': _energies(labels) if labels else [],
        'pool': _pool(returned['pool'].frames) if 'pool' in returned else None,
        'lowest_clusters': _lowest_clusters(returned.get('clusters')),
        'training': returned['training_report'].get_dict() if 'training_report' in returned else None,
        'assessment': returned['assessment'].get_dict() if 'assessment' in returned else None,
        'core_seconds': {stage: seconds.get(f'{key}_{stage}') for stage in STAGES},
    }


def _pool(frames: Frames) -> dict[str, Any]:
    energies = frames.energy_per_atom
    best = int(np.nanargmin(energies)) if np.any(np.isfinite(energies)) else None
    return {
        'by_status': dict(Counter(map(str, frames.known('status')))),
        'lowest_energy': None if best is None else float(energies[best]),
        'lowest_origin': None if best is None or frames.origin is None else str(frames.origin[best]),
    }


def _lowest_clusters(clusters: orm.ArrayData | None, count: int = 10) -> list[float]:
    return [] if clusters is None else [float(value) for value in clusters.get_array('energies')[:count]]


def _final(node: orm.WorkChainNode) -> dict[str, Any]:
    if 'labels' not in node.outputs:
        return {'by_status': {}, 'evaluations': 0}
    frames = node.outputs.labels.frames
    steps = 0 if frames.steps is None else int(np.sum(frames.steps[frames.steps > 0]))
    return {'by_status': dict(Counter(map(str, frames.known('status')))), 'evaluations': steps}


def _cost(cycles: list[dict[str, Any]], final: float | None) -> dict[str, float]:
    cost = {stage: float(sum(cycle['core_seconds'][stage] or 0 for cycle in cycles)) for stage in STAGES}
    cost['final'] = float(final or 0)
    return {**cost, 'total': sum(cost.values())}


def _energies(labels: Frames) -> list[float | None]:
    usable = labels.known('status') == LabelStatus.OK.value
    return [float(energy) if ok else None for energy, ok in zip(labels.energy_per_atom, usable, strict=True)]


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
