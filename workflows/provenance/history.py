"""The path from a random crystal to a minimum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from aiida import orm

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.pool.generate import ORIGINS, OWN
from aiida_prospect.methods.pool.spec import PoolKind
from aiida_prospect.workflows.provenance.cycles import SEARCH, Cycle, candidates_of, check_search, load_cycles
from aiida_prospect.workflows.provenance.labels import describe_labels, known

KINDS = {
    ORIGINS[PoolKind('symmetric')]: 'random crystal with a space group (PyXtal)',
    ORIGINS[PoolKind('p1')]: 'random crystal without symmetry',
    ORIGINS[PoolKind('airss')]: 'random crystal with a few symmetry operations (AIRSS)',
    OWN: 'a structure that was handed over',
}
RECIPE = ('composition', 'seed', 'volume_per_atom', 'volume_range', 'space_groups', 'max_operations')


def trace(minimum: orm.StructureData, cycles: Mapping[int, Cycle] | None = None) -> dict[str, Any]:
    """Follow a minimum back to the random crystal that it descends from.

    :param minimum: one of ``outputs.structures`` of a search.
    :param cycles: of that search, if they have been loaded already.
    :return: for JSON: ``minimum`` (rank, energy, space group), the ``search``, the ``birth`` of the crystal (kind,
        recipe, cycle), its ``path`` (an entry for each cycle with energy, spread, status, cluster; labels of it, if
        there are any) and the ``final`` relaxation. Energies in eV/atom.
    :raises ValueError: if the structure is no minimum of a search.
    """
    search, ranking, rank = _found_by(minimum)
    source = int(ranking.outputs.minima.frames.known('source')[rank])
    relaxed = ranking.inputs.relaxed
    final = relaxed.creator.caller
    finalist = final.inputs.candidates.frames[source]
    origin = str(finalist.known('origin')[0])
    cycles = load_cycles(search) if cycles is None else cycles
    return {
        'search': search.pk,
        'origin': origin,
        'minimum': {'pk': minimum.pk, 'rank': rank, **_facts(ranking.outputs.report['minima'][rank])},
        'birth': _birth(cycles, origin),
        'path': [_stage(cycle, origin) for cycle in cycles.values()],
        'labels': _labels(cycles, origin),
        'final': {
            **_final(final, relaxed.frames, source),
            'chosen': str(finalist.known('reason')[0]),
            'from': _entry(cycles, finalist),
        },
    }


def minimum_of(search: orm.ProcessNode, rank: int) -> orm.StructureData:
    """Return a minimum by its place in the ranking.

    :param rank: counted from 0, the lowest.
    :raises ValueError: if the process is no search, or has no such minimum.
    """
    check_search(search)
    found = search.outputs.structures if 'structures' in search.outputs else {}
    name = f'minimum_{rank:02d}'
    if name not in found:
        has = f'{len(found)}, counted from 0' if found else 'none yet' if not search.is_terminated else 'none'
        raise ValueError(f'search {search.pk} has no minimum {rank}: it has {has}')
    return found[name]


def _found_by(minimum: orm.StructureData) -> tuple[orm.WorkChainNode, orm.CalcFunctionNode, int]:
    extraction, ranking, search = minimum.creator, None, None
    if extraction is not None and 'dataset' in extraction.inputs:
        ranking = extraction.inputs.dataset.creator
        search = None if ranking is None else ranking.caller
    if extraction is None or ranking is None or search is None or search.process_label != SEARCH:
        raise ValueError(
            f'structure {minimum.pk} is no minimum of a search; the minima are the outputs `structures` of one: '
            'give the PK of the search, and the number of a minimum in `aiida-prospect show PK`'
        )
    return search, ranking, extraction.inputs.index.value


def _facts(item: Mapping[str, Any]) -> dict[str, Any]:
    names = ('formula', 'energy_per_atom', 'energy_above_best', 'space_group_symbol', 'space_group_number')
    return {name: item[name] for name in (*names, 'volume_per_atom')}


def _birth(cycles: Mapping[int, Cycle], origin: str) -> dict[str, Any]:
    """Tell in which cycle, by which recipe and in which pool a crystal appeared."""
    for cycle in cycles.values():
        for step in ('select', 'refill'):
            pool = _pool_of(cycle, step)
            place = None if pool is None else place_of(pool.frames, origin)
            if pool is None or place is None:
                continue
            maker = pool.creator
            parameters = (
                maker.inputs.parameters.get_dict() if maker is not None and 'parameters' in maker.inputs else {}
            )
            kind = origin.rsplit('-', 2)[-2] if '-' in origin else ''
            return {
                'cycle': cycle.number,
                'pool': pool.pk,
                'frame': place,
                'made_by': None if maker is None else maker.process_label,
                'kind': KINDS.get(kind, 'not known'),
                'recipe': {name: parameters[name] for name in RECIPE if parameters.get(name) is not None},
                'volume_per_atom': float(pool.frames.volumes[place] / pool.frames.n_atoms[place]),
            }
    return {}


def _pool_of(cycle: Cycle, step: str) -> Any:
    """Return the pool that a cycle began with (``select``) or that it relaxed (``refill``)."""
    node = cycle.steps.get(step)
    if node is None:
        return None
    return node.inputs.pool if step == 'select' else node.outputs.result if 'result' in node.outputs else None


def place_of(pool: Frames, origin: str) -> int | None:
    """Return the frame that descends from a crystal; origins are unique in a pool."""
    places = np.flatnonzero(pool.origin == origin) if pool.origin is not None else np.empty(0, int)
    return int(places[0]) if len(places) else None


def _stage(cycle: Cycle, origin: str) -> dict[str, Any]:
    """Tell how a crystal stood after the relaxation of a cycle."""
    frames = cycle.frames('pool')
    place = None if frames is None else place_of(frames, origin)
    if frames is None or place is None:
        return {'cycle': cycle.number, 'in_pool': None if frames is None else False}
    frame, size = frames[place], int(frames.n_atoms[place])
    clusters = cycle.outputs.get('clusters')
    number = int(clusters.get_array('labels')[place]) if clusters is not None else -1
    return {
        'cycle': cycle.number,
        'in_pool': True,
        'pool': cycle.outputs['pool'].pk,
        'frame': place,
        'energy_per_atom': known(frame.energy_per_atom[0]) if frame.energy is not None else None,
        'energy_before': known(frame.energy_initial[0] / size) if frame.energy_initial is not None else None,
        'energy_spread_per_atom': known(frame.energy_spread[0] / size) if frame.energy_spread is not None else None,
        'volume_per_atom': float(frame.volumes[0] / size),
        'status': str(frame.status[0]) if frame.status is not None else '',
        'reason': str(frame.reason[0]) if frame.reason is not None else '',
        'steps': int(frame.steps[0]) if frame.steps is not None else None,
        'cluster': number if number >= 0 else None,
    }


def _labels(cycles: Mapping[int, Cycle], origin: str) -> list[dict[str, Any]]:
    """Return the labels of all states of a crystal; their index is that of ``aiida-prospect why``."""
    found = []
    for candidate in candidates_of(cycles):
        labels = candidate.cycle.frames('labels')
        if labels is None or labels.origin is None or labels.origin[candidate.frame] != origin:
            continue
        chosen = candidate.cycle.frames('candidates')
        facts = {
            'index': candidate.number,
            'cycle': candidate.cycle.number,
            'chosen': '' if chosen is None else str(chosen.known('reason')[candidate.frame]),
        }
        found.append({**facts, **describe_labels(labels)[candidate.frame]})
    return found


def _entry(cycles: Mapping[int, Cycle], finalist: Frames) -> dict[str, Any]:
    """Tell what was handed over to the final relaxation: a frame of the last pool, or the structure of a label."""
    source = int(finalist.known('source')[0])
    last = max((number for number, cycle in cycles.items() if 'pool' in cycle.outputs), default=None)
    if source >= 0:
        return {'kind': 'pool', 'cycle': last, 'frame': source}
    for candidate in reversed(candidates_of(cycles)):
        labels = candidate.cycle.frames('labels')
        if labels is not None and np.array_equal(labels[candidate.frame].positions, finalist.positions):
            return {'kind': 'label', 'cycle': candidate.cycle.number, 'index': candidate.number}
    return {'kind': 'label', 'cycle': None, 'index': None}


def _final(node: orm.WorkChainNode, relaxed: Frames, index: int) -> dict[str, Any]:
    return {
        'process': node.pk,
        'evaluations': int(relaxed.steps[index]) if relaxed.steps is not None else None,
        **describe_labels(relaxed)[index],
    }
