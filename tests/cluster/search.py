"""Run a small search in the default profile and write what it found; the tests run it in several profiles."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from aiida import load_profile, orm
from aiida.engine import run_get_node, submit

from aiida_prospect.common.frames import Frames
from aiida_prospect.workflows.search import SearchWorkChain

SMALL = {
    'search': {'budget': {'max_cycles': 2}, 'final': {'n_minima': 2}},
    'pool': {'n_structures': 12},
    'selection': {'selection': {'n_initial': 6, 'n_select': 3}},
    'explore': {'parameters': {'max_steps': 15}},
}
TIMEOUT = 900


def search(formula: dict[str, int], seed: int, *, python: str, label_python: str, daemon: bool) -> orm.WorkChainNode:
    """Run the search to its end.

    :raises TimeoutError: if the daemon does not finish it.
    """
    builder = SearchWorkChain.get_builder_from_protocol(
        formula,
        code=orm.load_code(python),
        label_options={
            'code': orm.load_code(label_python),
            'calculator': 'lammps',
            'arguments': {'potential': 'Si_Zuo_JPCA2020'},
        },
        protocol='fast',
        overrides=SMALL,
        seed=seed,
    )
    if not daemon:
        return run_get_node(builder)[1]
    node = submit(builder)
    deadline = time.monotonic() + TIMEOUT
    while not node.is_terminated:
        if time.monotonic() > deadline:
            raise TimeoutError(f'search {node.pk} is {node.process_state} after {TIMEOUT} s')
        time.sleep(1)
    return node


def arrays(frames: Frames, prefix: str) -> dict[str, np.ndarray]:
    """Return what of frames is to be compared."""
    values = {
        name: getattr(frames, name)
        for name in ('numbers', 'offsets', 'cells', 'positions', 'energy', 'forces', 'stress')
    }
    text = {name: np.array([str(item) for item in getattr(frames, name)]) for name in ('origin', 'status')}
    return {f'{prefix}.{name}': np.asarray(value) for name, value in {**values, **text}.items()}


def jobs(node: orm.WorkChainNode) -> list[dict[str, Any]]:
    """Return where each job ran."""
    return [
        {
            'computer': job.computer.label,
            'transport': job.computer.transport_type,
            'scheduler': job.computer.scheduler_type,
            'job_id': job.get_job_id(),
            'kind': job.process_type.rpartition(':')[2],
            'exit_status': job.exit_status,
        }
        for job in node.called_descendants
        if isinstance(job, orm.CalcJobNode)
    ]


def main() -> None:
    """Run the search and write ``OUT.npz`` and ``OUT.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('n_atoms', type=int)
    parser.add_argument('out', type=Path)
    parser.add_argument('--python', required=True, help='code for training and relaxation')
    parser.add_argument('--label-python', required=True, help='code for labels')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--daemon', action='store_true')
    arguments = parser.parse_args()
    load_profile()
    start = time.monotonic()
    node = search(
        {'Si': arguments.n_atoms},
        arguments.seed,
        python=arguments.python,
        label_python=arguments.label_python,
        daemon=arguments.daemon,
    )
    results: dict[str, np.ndarray] = {}
    cycles = sorted(name for name in node.outputs if name.startswith('cycle_'))
    for name in cycles:
        results.update(arrays(node.outputs[name].labels.frames, f'{name}.labels'))
    if 'minima' in node.outputs:
        results.update(arrays(node.outputs.minima.frames, 'minima'))
    np.savez(arguments.out.with_suffix('.npz'), **results)
    told = {
        'exit_status': node.exit_status,
        'exit_message': node.exit_message,
        'cycles': cycles,
        'stop': node.outputs.stop.get_dict() if 'stop' in node.outputs else None,
        'jobs': jobs(node),
        'seconds': time.monotonic() - start,
    }
    arguments.out.with_suffix('.json').write_text(json.dumps(told))


if __name__ == '__main__':
    main()
