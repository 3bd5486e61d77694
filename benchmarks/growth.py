"""What a search leaves behind: nodes, files and rows of the database, by stage, and what still lies on the computers.

    python benchmarks/growth.py PK [PK ...]      # searches that have ended; writes benchmarks/results/overhead
    python benchmarks/overhead.py table

Files are counted once, however many nodes have them. Rows are the bytes of their texts: attributes, extras and logs.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from aiida import load_profile, orm
from aiida.common.links import LinkType

RESULTS = Path(__file__).parent / 'results' / 'overhead'


def stage_of(label: str) -> str:
    """Return what a child of a search does, without the number of its cycle."""
    return re.sub(r'^cycle_\d+_', '', label)


def nodes_of(process: orm.ProcessNode) -> Iterator[orm.Node]:
    """Yield a process, all that it called, and the data that these created."""
    for each in (process, *process.called_descendants):
        yield each
        yield from each.base.links.get_outgoing(link_type=LinkType.CREATE).all_nodes()


def rows(node: orm.Node) -> int:
    """Return the bytes of a node in the database."""
    logs = orm.Log.collection.get_logs_for(node) if isinstance(node, orm.ProcessNode) else []
    texts = [node.base.attributes.all, node.base.extras.all, *(log.message for log in logs)]
    return len(json.dumps(texts, default=str))


def files(node: orm.Node) -> Iterator[tuple[str, int]]:
    """Yield the hash and the size of each file of a node."""
    repository = node.base.repository
    for folder, _, names in repository.walk():
        for name in names:
            yield str(repository.get_object(folder / name).key), repository.get_object_size(folder / name)


def scratch(node: orm.Node) -> int:
    """Return the bytes that a job has left on this machine."""
    if not isinstance(node, orm.CalcJobNode) or not node.get_remote_workdir():
        return 0
    folder = Path(node.get_remote_workdir())
    return sum(path.lstat().st_size for path in folder.rglob('*') if path.is_file()) if folder.is_dir() else 0


def measure(search: orm.WorkChainNode) -> dict[str, Any]:
    """Return how much of what each stage of a search has left."""
    stages: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(('nodes', 'files', 'rows', 'scratch'), 0))
    known: set[str] = set()
    for link in search.base.links.get_outgoing(orm.ProcessNode).all():
        stage = stages[stage_of(link.link_label)]
        for node in nodes_of(link.node):
            stage['nodes'] += 1
            stage['rows'] += rows(node)
            stage['scratch'] += scratch(node)
            for key, size in files(node):
                if key not in known:
                    known.add(key)
                    stage['files'] += size
    cycles = [name for name in search.outputs if name.startswith('cycle_')]
    labels = [len(search.outputs[name].labels) for name in cycles if 'labels' in search.outputs[name]]
    return {
        'composition': search.outputs[cycles[0]].pool.frames.formulas[0],
        'labels_by': next(node.process_label for node in search.called if 'LabelWorkChain' in str(node.process_label)),
        'pool': len(search.outputs[cycles[0]].pool),
        'cycles': len(cycles),
        'labels': sum(labels),
        'stages': dict(stages),
    }


@click.command()
@click.argument('searches', nargs=-1, type=int, required=True)
def main(searches: tuple[int, ...]) -> None:
    """Measure finished searches."""
    load_profile()
    for pk in searches:
        result = measure(orm.load_node(pk))
        name = f'growth_{result["composition"]}_{result["labels_by"]}.json'.lower()
        (RESULTS / name).write_text(json.dumps(result, indent=1))
        click.echo(json.dumps(result))


if __name__ == '__main__':
    main()
