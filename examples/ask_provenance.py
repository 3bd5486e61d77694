"""Ask a search, or the last one, where its results come from: `verdi run examples/ask_provenance.py [PK]`."""

import sys

from aiida import load_profile, orm

from aiida_prospect.workflows.provenance.cost import cost_of
from aiida_prospect.workflows.provenance.history import trace
from aiida_prospect.workflows.provenance.labels import list_labels
from aiida_prospect.workflows.provenance.why import explain
from aiida_prospect.workflows.search import SearchWorkChain


def last_search() -> orm.WorkChainNode:
    """Return the last search that has minima."""
    query = orm.QueryBuilder()
    query.append(SearchWorkChain, tag='search')
    query.append(orm.Dict, with_incoming='search', edge_filters={'label': 'ranking'})
    query.order_by({SearchWorkChain: {'ctime': 'desc'}})
    query.add_projection('search', '*')
    return query.first(flat=True)


def main(search: orm.WorkChainNode) -> None:
    """Print the answers."""
    lowest = list_labels(search, sorted_by='energy')['labels'][0]
    print(f'The lowest label is {lowest["index"]}: {lowest["energy_per_atom"]:.4f} eV/atom')
    answer = explain(search, lowest['index'])
    print(f'It was chosen in cycle {answer["cycle"]}: {answer["reason"]}')
    history = trace(search.outputs.structures.minimum_00)
    for step in history['path']:
        print(f'The lowest minimum in cycle {step["cycle"]}: {step["status"]}')
    cost = cost_of(search)
    for stage in cost['stages']:
        print(f'{stage["stage"]}: {stage["core_seconds"] or 0:.1f} core seconds, {stage["jobs"]} jobs')


if __name__ == '__main__':
    load_profile()
    main(orm.load_node(int(sys.argv[1])) if sys.argv[1:] else last_search())
