"""A search as its cycles, with those of the searches that it takes up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiida import orm
from aiida.common.links import LinkType

from aiida_prospect.common.frames import Frames

SEARCH = 'SearchWorkChain'
CYCLE = 'cycle_'
# What there is of a cycle for its labels; the rest it gave because it was run to the end.
OF_LABELS = ('candidates', 'labels')
STEPS_OF_LABELS = ('select', 'label')


@dataclass
class Cycle:
    """One cycle.

    :param outputs: what it gave, by name: ``candidates``, ``labels``, ``potentials`` (by name), ``pool``, …
    :param steps: the processes that it called, by name: ``select``, ``label``, ``train``, ``explore``, …
    """

    number: int
    outputs: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, orm.ProcessNode] = field(default_factory=dict)

    def frames(self, name: str) -> Frames | None:
        """Return the frames of an output, ``None`` if there is none yet."""
        return self.outputs[name].frames if name in self.outputs else None

    def taken_up(self, first: int, labels: orm.Data | None) -> Cycle:
        """Return what a later search has of this cycle.

        :param first: the first cycle that it runs itself; of that and later ones it has nothing but labels.
        :param labels: what it was given for this cycle, perhaps corrected; ``None`` if it goes without.
        """
        labelled, is_over = labels is not None, self.number < first
        outputs = {name: node for name, node in self.outputs.items() if (labelled if name in OF_LABELS else is_over)}
        steps = {name: node for name, node in self.steps.items() if is_over or (labelled and name in STEPS_OF_LABELS)}
        return Cycle(self.number, outputs if labels is None else {**outputs, 'labels': labels}, steps)


@dataclass(frozen=True)
class Candidate:
    """Where a candidate stands.

    :param number: among all of the search, from 0.
    :param cycle: the one that chose it.
    :param frame: its index in the candidates and labels of that cycle.
    """

    number: int
    cycle: Cycle
    frame: int


def check_search(node: orm.ProcessNode) -> None:
    """Refuse other processes.

    :raises ValueError: if it is no search.
    """
    if node.process_label != SEARCH:
        raise ValueError(f'process {node.pk} is no search but a {node.process_label}')


def predecessor(search: orm.WorkChainNode) -> orm.WorkChainNode | None:
    """Return the search that this one takes up."""
    if 'restart' not in search.inputs:
        return None
    restart = search.inputs.restart
    # What comes from elsewhere may be of another search.
    labels = _labels_of_cycles(restart)
    taken_over = restart.get('pool') or (labels[max(labels)] if labels else None)
    if taken_over is None:
        return None
    found = [
        link.node
        for link in taken_over.base.links.get_incoming(link_type=LinkType.RETURN).all()
        if link.node.process_label == SEARCH and link.node.pk != search.pk
    ]
    return max(found, key=lambda node: node.pk, default=None)


def _labels_of_cycles(restart: Mapping[str, Any]) -> dict[str, orm.Data]:
    return {name: node for name, node in restart.get('labels', {}).items() if name.startswith(CYCLE)}


def lineage(search: orm.WorkChainNode) -> list[orm.WorkChainNode]:
    """Return the search and all that it takes up, the earliest first."""
    chain = [search]
    while (earlier := predecessor(chain[0])) is not None:
        chain.insert(0, earlier)
    return chain


def load_cycles(search: orm.WorkChainNode) -> dict[int, Cycle]:
    """Return the cycles of a search by number, each as it was when this search came to use it."""
    check_search(search)
    cycles: dict[int, Cycle] = {}
    for node in lineage(search):
        restart = node.inputs.restart if 'restart' in node.inputs else {}
        first = restart['cycle'].value if 'cycle' in restart else 0
        # What a search was given from elsewhere is of no cycle.
        labels = {int(name.removeprefix(CYCLE)): node for name, node in _labels_of_cycles(restart).items()}
        cycles = {n: cycles.get(n, Cycle(n)).taken_up(first, labels.get(n)) for n in {*cycles, *labels}}
        for number, outputs, steps in _own_cycles(node):
            cycle = cycles.setdefault(number, Cycle(number))
            cycle.outputs.update(outputs)
            cycle.steps.update(steps)
    return {number: cycles[number] for number in sorted(cycles) if cycles[number].outputs or cycles[number].steps}


def _own_cycles(search: orm.WorkChainNode) -> Iterator[tuple[int, Mapping[str, Any], Mapping[str, orm.ProcessNode]]]:
    returned = search.base.links.get_outgoing(link_type=LinkType.RETURN).nested()
    steps: dict[str, dict[str, orm.ProcessNode]] = {}
    links = search.base.links.get_outgoing(link_type=(LinkType.CALL_CALC, LinkType.CALL_WORK)).all()
    for link in sorted(links, key=lambda link: link.node.pk):
        if link.link_label.startswith(CYCLE):
            number, _, name = link.link_label.removeprefix(CYCLE).partition('_')
            steps.setdefault(CYCLE + number, {})[name] = link.node
    for key in sorted({*steps, *(key for key in returned if key.startswith(CYCLE))}):
        yield int(key.removeprefix(CYCLE)), returned.get(key, {}), steps.get(key, {})


def candidates_of(cycles: Mapping[int, Cycle]) -> list[Candidate]:
    """Return all candidates, cycle by cycle; their place in the list is their number."""
    sets = [(cycle, cycle.outputs.get('candidates') or cycle.outputs.get('labels')) for cycle in cycles.values()]
    places = [(cycle, frame) for cycle, dataset in sets if dataset is not None for frame in range(len(dataset))]
    return [Candidate(number, cycle, frame) for number, (cycle, frame) in enumerate(places)]
