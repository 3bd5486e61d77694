"""What a report is made of, read from the provenance of a search once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from aiida import orm

from aiida_prospect.calculations.functions.cluster_node import fingerprints_like
from aiida_prospect.common.frames import FloatArray, Frames
from aiida_prospect.methods.parity import QUANTITIES, Comparison, compare
from aiida_prospect.workflows.provenance.cost import cost_of
from aiida_prospect.workflows.provenance.cycles import Cycle, load_cycles
from aiida_prospect.workflows.provenance.progress import progress_of
from aiida_prospect.workflows.summary import summarise


@dataclass(frozen=True)
class Material:
    """Everything at hand about a search.

    :param parity: for each quantity the comparisons of the cycles that have labels.
    :param trainings: the training reports by cycle, with ``cycle``.
    """

    search: orm.WorkChainNode
    summary: Mapping[str, Any]
    progress: Mapping[str, Any]
    cost: Mapping[str, Any]
    cycles: Mapping[int, Cycle]
    parity: Mapping[str, list[Comparison]]
    trainings: list[dict[str, Any]]

    @property
    def labels(self) -> dict[int, Frames]:
        """Labels by cycle."""
        found = {number: cycle.frames('labels') for number, cycle in self.cycles.items()}
        return {number: frames for number, frames in found.items() if frames is not None}

    @property
    def minima(self) -> Frames | None:
        """The ranked minima, if the search has come so far."""
        return self.search.outputs.minima.frames if 'minima' in self.search.outputs else None


def gather(search: orm.WorkChainNode) -> Material:
    """Read all that the report of a search needs.

    :raises ValueError: if the process is no search.
    """
    cycles = load_cycles(search)
    reports = {n: cycle.outputs['training_report'] for n, cycle in cycles.items() if 'training_report' in cycle.outputs}
    return Material(
        search=search,
        summary=summarise(search),
        progress=progress_of(search),
        cost=cost_of(search),
        cycles=cycles,
        parity=_parity(cycles),
        trainings=[{'cycle': number, **report.get_dict()} for number, report in reports.items()],
    )


def _parity(cycles: Mapping[int, Cycle]) -> dict[str, list[Comparison]]:
    result: dict[str, list[Comparison]] = {name: [] for name in QUANTITIES}
    for number, cycle in cycles.items():
        labels = cycle.frames('labels')
        if labels is None or 'select' not in cycle.steps:
            continue
        for name, comparison in compare(number, labels, cycle.steps['select'].inputs.pool.frames).items():
            result[name].append(comparison)
    return result


def learning_curves(cycles: Mapping[int, Cycle]) -> tuple[int, dict[str, dict[str, np.ndarray]]]:
    """Return the learning curves of the members of the last ensemble that has any, and its cycle."""
    for number, cycle in sorted(cycles.items(), reverse=True):
        training = cycle.steps.get('train')
        if training is not None and 'curves' in training.outputs:
            nodes = training.outputs.curves
            return number, {
                name: {key: nodes[name].get_array(key) for key in nodes[name].get_arraynames()} for name in nodes
            }
    return -1, {}


@dataclass(frozen=True)
class Landscape:
    """Fingerprints and energies of the last pool, and the fingerprints of what was labelled and of the minima."""

    cycle: int | None
    pool: FloatArray
    energies: FloatArray
    labelled: FloatArray
    minima: FloatArray


def landscape(material: Material) -> Landscape | None:
    """Read the last pool that has been clustered; before the first relaxation that is the pool as it was made."""
    cycles = material.cycles
    relaxed = [number for number, cycle in cycles.items() if {'clusters', 'pool'} <= cycle.outputs.keys()]
    if relaxed:
        last: int | None = max(relaxed)
        clusters, pool = cycles[max(relaxed)].outputs['clusters'], cycles[max(relaxed)].outputs['pool'].frames
    else:
        chosen = next((cycle.steps['select'] for cycle in cycles.values() if 'select' in cycle.steps), None)
        if chosen is None:
            return None
        last, clusters, pool = None, chosen.inputs.clusters, chosen.inputs.pool.frames
    labelled = Frames.concatenate(list(material.labels.values()))
    return Landscape(
        cycle=last,
        pool=clusters.get_array('fingerprints'),
        energies=pool.energy_per_atom if pool.energy is not None else np.full(len(pool), np.nan),
        labelled=fingerprints_like(clusters, labelled),
        minima=fingerprints_like(clusters, material.minima or Frames.empty()),
    )
