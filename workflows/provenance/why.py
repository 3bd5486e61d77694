"""Why a candidate was labelled, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from aiida import orm

from aiida_prospect.common.enums import LabelStatus
from aiida_prospect.common.frames import Frames
from aiida_prospect.workflows.provenance.costs_of_labels import labellings
from aiida_prospect.workflows.provenance.cycles import CYCLE, Candidate, Cycle, candidates_of, load_cycles
from aiida_prospect.workflows.provenance.labels import WAITING, describe_labels, known

# Atoms that moved by less, Å, were not displaced on purpose, nor cells strained that changed by less.
UNMOVED = 1e-6
# What a training takes of a label.
LABEL = ('energy', 'forces', 'stress')


def explain(search: orm.WorkChainNode, index: int, cycle: int | None = None) -> dict[str, Any]:
    """Say why a candidate was labelled and what came of it.

    :param index: of the candidate among all of the search, from 0; with ``cycle`` among those of that cycle.
    :return: for JSON: what it is (``origin``, ``formula``, …), why it was chosen (``reason``, ``strategy``), from which
        ``pool`` and ``cluster``, the potentials that it was ``seen_by`` and their ``prediction``, the ``label``, the
        ``training`` sets that took it in or left it out, with what they had in place of a label that was corrected
        later, and the ``minima`` that descend from the same crystal.
        Energies in eV, per atom where the name says so; forces in eV/Å.
    :raises ValueError: if the process is no search, or there is no such candidate.
    """
    cycles = load_cycles(search)
    candidate = _find(cycles, index, cycle)
    home, frame = candidate.cycle, candidate.frame
    frames = home.frames('candidates') or home.frames('labels')
    assert frames is not None
    origin = str(frames.origin[frame]) if frames.origin is not None else ''
    selected = 'select' in home.steps
    return {
        'search': search.pk,
        'index': candidate.number,
        'cycle': home.number,
        'frame': frame,
        'origin': origin,
        'formula': frames.formulas[frame],
        'reason': str(frames.reason[frame]) if selected and frames.reason is not None else '',
        'strategy': home.steps['select'].inputs.parameters['strategy'] if selected else None,
        'pool': _pool(home, frames[frame]) if selected else None,
        'cluster': _cluster(home, frames, frame) if selected else None,
        'seen_by': _seen_by([cycle for cycle in cycles.values() if cycle.number < home.number]),
        'prediction': _prediction(frames[frame]),
        'label': _label(home, frame),
        'training': _training(cycles, home, frame),
        'minima': _descendants(search, origin),
    }


def _find(cycles: Mapping[int, Cycle], index: int, number: int | None) -> Candidate:
    if number is not None and number not in cycles:
        raise ValueError(f'there is no cycle {number}; there are: {", ".join(map(str, cycles)) or "none"}')
    candidates = candidates_of(cycles)
    if number is not None:
        candidates = [candidate for candidate in candidates if candidate.cycle.number == number]
    if not 0 <= index < len(candidates):
        where = 'the search' if number is None else f'cycle {number}'
        raise ValueError(f'there is no candidate {index}: {where} has {len(candidates)}, counted from 0')
    return candidates[index]


def _pool(cycle: Cycle, frame: Frames) -> dict[str, Any]:
    node = cycle.steps['select'].inputs.pool
    source = int(frame.known('source')[0])
    before = node.frames[source]
    deformation = np.linalg.solve(before.cells[0], frame.cells[0])
    displacement = float(np.sqrt(np.mean(np.sum((frame.positions - before.positions) ** 2, axis=1))))
    strain = float(np.sqrt(np.mean((deformation - np.eye(3)) ** 2)))
    return {
        'pk': node.pk,
        'n_frames': len(node),
        'frame': source,
        'relaxation': None if before.status is None else str(before.status[0]),
        'steps': None if before.steps is None else int(before.steps[0]),
        'displacement': displacement if displacement > UNMOVED else 0.0,
        'strain': strain if strain > UNMOVED else 0.0,
    }


def _cluster(cycle: Cycle, frames: Frames, frame: int) -> dict[str, Any] | None:
    """Return the cluster of a candidate in the pool that it was chosen from; ``None`` if it belonged to none."""
    clusters = cycle.steps['select'].inputs.clusters
    labels = clusters.get_array('labels')
    number = int(labels[int(frames.known('source')[frame])])
    if number < 0:
        return None
    energies = clusters.get_array('energies')
    energy = known(energies[number])
    return {
        'pk': clusters.pk,
        'number': number,
        'n_clusters': len(energies),
        'size': int(np.sum(labels == number)),
        'energy_per_atom': energy,
        'energy_above_lowest': None if energy is None else energy - float(np.nanmin(energies)),
    }


def _seen_by(before: Sequence[Cycle]) -> list[dict[str, Any]]:
    """Return the potentials that relaxed the pool and judged the candidate; in cycle 0 there are none.

    A cycle without new labels goes on with the potentials of the one before.
    """
    trained = [cycle.outputs['potentials'] for cycle in before if 'potentials' in cycle.outputs]
    potentials = trained[-1] if trained else {}
    return [
        {
            'name': name,
            'pk': node.pk,
            'architecture': node.architecture or node.program.value,
            'n_training': node.metadata.get('n_training'),
            'tested_on': node.metadata.get('tested_on'),
            'errors': {key: node.errors[key] for key in ('energy', 'forces') if key in node.errors},
        }
        for name, node in sorted(potentials.items())
    ]


def _prediction(frame: Frames) -> dict[str, Any] | None:
    if frame.energy_initial is None or not np.isfinite(frame.energy_initial[0]):
        return None
    size = len(frame.numbers)
    spread = None if frame.energy_spread is None else known(frame.energy_spread[0] / size)
    force_spread = None if frame.forces_spread is None else known(float(np.max(frame.forces_spread)))
    energy = float(frame.energy_initial[0] / size)
    return {'energy_per_atom': energy, 'energy_spread_per_atom': spread, 'max_force_spread': force_spread}


def _label(cycle: Cycle, frame: int) -> dict[str, Any]:
    process = vars(labellings([cycle])[cycle.number][frame])
    labels = cycle.frames('labels')
    if labels is None:
        return {'status': WAITING, 'reason': '', **process}
    facts, prediction = describe_labels(labels)[frame], _prediction(labels[frame])
    both_known = prediction is not None and facts['energy_per_atom'] is not None
    error = prediction['energy_per_atom'] - facts['energy_per_atom'] if both_known and prediction else None
    return {'pk': cycle.outputs['labels'].pk, **facts, 'error_of_prediction': error, **process}


def _training(cycles: Mapping[int, Cycle], home: Cycle, frame: int) -> dict[str, Any]:
    """Return the cycles whose ensembles were trained on a candidate, and the reasons of those that left it out.

    A label may have been corrected since: then what an ensemble saw in its place is told as well.
    """
    used, left_out, others = [], {}, {}
    now, name = home.frames('labels'), f'{CYCLE}{home.number:02d}'
    for cycle in cycles.values():
        seen = _trained_on(cycle, name)
        if now is None or seen is None or seen.known('status')[frame] != LabelStatus.OK.value:
            continue
        rejected = cycle.outputs['acceptance']['rejected'][name]
        if str(frame) in rejected:
            left_out[cycle.number] = rejected[str(frame)]
        else:
            used.append(cycle.number)
        if not _is_same_label(seen[frame], now[frame]):
            others[cycle.number] = describe_labels(seen)[frame]
    return {'used_in_cycles': used, 'left_out_in_cycles': left_out, 'other_label_in_cycles': others}


def _trained_on(cycle: Cycle, name: str) -> Frames | None:
    """Return a set of labels as the training of a cycle was given it; ``None`` if it was not."""
    cleaning = cycle.outputs['acceptance'].creator if 'acceptance' in cycle.outputs else None
    return cleaning.inputs[name].frames if cleaning is not None and name in cleaning.inputs else None


def _is_same_label(one: Frames, other: Frames) -> bool:
    return all(np.array_equal(one.known(name), other.known(name), equal_nan=True) for name in LABEL)


def _descendants(search: orm.WorkChainNode, origin: str) -> list[int]:
    """Return the ranks of the minima that were found from the same random crystal."""
    if 'ranking' not in search.outputs or not origin:
        return []
    minima = search.outputs.ranking['minima']
    return [rank for rank, item in enumerate(minima) if origin in {member['origin'] for member in item['members']}]
