"""Submit the search that is disturbed, and print its PK.

A process of its own, so that an outage of the broker leaves nothing behind in the one that disturbs.
"""

from __future__ import annotations

from typing import Any

from aiida import load_profile, orm
from aiida.engine import submit

from aiida_prospect.workflows.search import SearchWorkChain

SEED = 1
OVERRIDES: dict[str, Any] = {
    'search': {'budget': {'max_cycles': 2}, 'final': {'n_minima': 2}},
    'pool': {'n_structures': 12},
    'selection': {'selection': {'n_initial': 6, 'n_select': 3}},
    'explore': {'parameters': {'max_steps': 15}},
}


def main() -> None:
    """Submit it to the daemon."""
    load_profile()
    builder = SearchWorkChain.get_builder_from_protocol(
        {'Si': 4},
        code=orm.load_code('python@cluster-gpu'),
        label_options={
            'code': orm.load_code('python@cluster-cpu'),
            'calculator': 'faulty_calculator:calculator',
            'arguments': {'potential': 'Si_Zuo_JPCA2020'},
            'elements': ['Si'],
        },
        protocol='fast',
        overrides=OVERRIDES,
        seed=SEED,
    )
    print(submit(builder).pk)


if __name__ == '__main__':
    main()
