"""The result of a search as an archive of AiiDA that a colleague can import."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from aiida import orm
from aiida.tools.archive import create_archive

from aiida_prospect.workflows.provenance.cycles import Cycle, lineage

GROUP = 'prospect/{formula}/{uuid}'
RESULTS = ('minima', 'ranking', 'stop', 'pool_report')


def result_nodes(search: orm.WorkChainNode, cycles: Mapping[int, Cycle]) -> dict[str, orm.Data]:
    """Return the nodes that are worth to be passed on, by names like ``structures.minimum_00``, ``cycle_03.labels``.

    Minima and their ranking, the labels of all cycles, the last ensemble, and references.
    """
    nodes = {name: search.outputs[name] for name in RESULTS if name in search.outputs}
    if 'structures' in search.outputs:
        nodes |= {f'structures.{name}': node for name, node in dict(search.outputs.structures).items()}
    nodes |= dict(_of_cycles(cycles))
    trained = [cycle.outputs['potentials'] for cycle in cycles.values() if 'potentials' in cycle.outputs]
    nodes |= {f'potentials.{name}': node for name, node in (trained[-1] if trained else {}).items()}
    if not nodes:
        return {}
    references = dict(search.inputs.references) if 'references' in search.inputs else {}
    return nodes | {f'references.{name}': node for name, node in references.items()}


def _of_cycles(cycles: Mapping[int, Cycle]) -> Iterator[tuple[str, orm.Data]]:
    for number, cycle in cycles.items():
        for name in ('labels', 'training_report', 'assessment'):
            if name in cycle.outputs:
                yield f'cycle_{number:02d}.{name}', cycle.outputs[name]


def write_archive(
    search: orm.WorkChainNode, cycles: Mapping[int, Cycle], path: Path, everything: bool = False
) -> Path | None:
    """Write an archive.

    The nodes are in a group, ``prospect/<formula>/<UUID of the search>``, whose extras tell which node is what. Without
    the processes the archive is small: any process would bring all its outputs along, and those all their ancestors.

    :param everything: add the search, those that it takes up and all that they called, with inputs and outputs.
    :return: the path; ``None`` if the search has given nothing yet.
    """
    nodes = result_nodes(search, cycles)
    if not nodes:
        return None
    formula = ''.join(f'{element}{count}' for element, count in search.inputs.pool.parameters['composition'].items())
    label, description = GROUP.format(formula=formula, uuid=search.uuid), f'Result of search {search.uuid}.'
    # It is there already where the search was imported, or an export was killed.
    group, is_new = orm.Group.collection.get_or_create(label, description=description)
    try:
        group.base.extras.set_many({'search': search.uuid, 'nodes': {name: node.uuid for name, node in nodes.items()}})
        group.add_nodes(list(nodes.values()))
        create_archive(
            [group, *(lineage(search) if everything else [])],
            path,
            create_backward=everything,
            call_calc_backward=False,
            call_work_backward=False,
            include_logs=everything,
        )
    finally:
        # It was made for the archive; who exports need not find it in the profile.
        if is_new:
            orm.Group.collection.delete(group.pk)
    return path
