"""Search the crystal structures of four silicon atoms: `verdi run examples/search.py [PROTOCOL_OVERRIDES.yaml]`.

The labels come from an interatomic potential that is part of LAMMPS, so it takes minutes. It needs a code
`python@localhost`, as `bash deploy/quickstart.sh --set-up-only` makes it.
"""

import sys
from pathlib import Path

from aiida import load_profile, orm
from aiida.engine import run_get_node
from ase.build import bulk

from aiida_prospect.cli.overrides import read_sections
from aiida_prospect.workflows.search import SearchWorkChain

# What is not said here is in the protocol.
OVERRIDES = {
    'pool': {'n_structures': 60},
    'search': {'budget': {'max_labels': 60, 'max_cycles': 5}},
}


def main(overrides: dict) -> orm.WorkChainNode:
    """Run the search and print its minima."""
    python = orm.load_code('python@localhost')
    builder = SearchWorkChain.get_builder_from_protocol(
        {'Si': 4},
        code=python,
        labels='calculator',
        label_options={'code': python, 'arguments': {'potential': 'Si_Zuo_JPCA2020'}},
        protocol='fast',
        overrides=overrides,
        seed=1,
        references={'diamond': orm.StructureData(ase=bulk('Si', 'diamond', a=5.43))},
    )
    # With a daemon: `aiida.engine.submit(builder)`, which returns at once.
    _, node = run_get_node(builder)
    print(f'Search {node.pk}: {node.outputs.stop["sentence"]}')
    for minimum in node.outputs.ranking['minima']:
        above = 1000 * minimum['energy_above_best']
        print(f'{minimum["formula"]}, {minimum["space_group_symbol"]}: {above:.1f} meV/atom above the lowest')
    return node


if __name__ == '__main__':
    load_profile()
    main(read_sections(Path(sys.argv[1])) if sys.argv[1:] else OVERRIDES)
