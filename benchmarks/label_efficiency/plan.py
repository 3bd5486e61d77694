"""What is to be run, the most important first."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.label_efficiency.methods import ABLATIONS, BASELINE, METHODS, TRANSFER
from benchmarks.label_efficiency.store import Task

# System, method, kinds of pools, number of seeds. Of the baseline each seed is a hundred relaxations.
STEPS: tuple[tuple[str, str, tuple[str, ...], int], ...] = (
    ('si8', 'prospect', ('mixed',), 5),
    ('si8', BASELINE, ('mixed', 'p1'), 1),
    *((system, 'prospect', ('mixed',), 1) for system in ('na8cl8', 'ga8as8', 'al4o6')),
    ('si8', 'laqa-published', ('p1',), 1),
    *(('si8', name, ('mixed',), 1) for name in ('laqa', 'random', 'uncertainty')),
    ('si16', 'prospect', ('p1',), 1),
    *((system, BASELINE, ('mixed', 'p1'), 1) for system in ('na8cl8', 'ga8as8', 'al4o6', 'si16')),
    ('si8', BASELINE, ('mixed', 'p1', 'symmetric'), 2),
    ('si8', 'prospect', ('p1',), 5),
    *((system, 'prospect', ('mixed',), 3) for system in ('na8cl8', 'ga8as8', 'al4o6')),
    *(('si8', name, ('mixed',), 3) for name in ('laqa', 'random', 'uncertainty')),
    ('si16', 'prospect', ('p1',), 3),
    ('si8', 'laqa-published', ('p1',), 3),
    ('si8-sw', 'prospect', ('mixed',), 3),
    ('si8-sw', BASELINE, ('mixed', 'p1'), 1),
    *((system, 'laqa-published', ('p1',), 1) for system in ('na8cl8', 'ga8as8', 'al4o6', 'si16')),
    *(('na4cl4', name, ('mixed',), 2) for name in ('network', 'network-pretrained', 'prospect')),
    ('na4cl4', BASELINE, ('mixed',), 1),
    ('si8-pbe', 'prospect', ('mixed',), 2),
    ('si8-pbe', 'laqa-published', ('p1',), 2),
    ('si16', 'prospect', ('p1',), 5),
    ('si16', BASELINE, ('p1',), 10),
    ('si16', BASELINE, ('mixed',), 4),
    ('ga8as8', BASELINE, ('mixed',), 20),
    *((system, BASELINE, ('mixed',), 4) for system in ('na8cl8', 'al4o6', 'si8-sw')),
    *(('si8', name, ('mixed',), 5) for name in ('laqa', 'random', 'uncertainty')),
    ('si8', 'laqa-published', ('p1',), 5),
    *(('si8', name, ('mixed',), 3) for name in ABLATIONS),
    ('si8', 'prospect', ('mixed',), 10),
    ('si8', 'prospect', ('symmetric',), 5),
    ('si16', 'prospect-1000', ('p1',), 5),
    *((system, 'prospect', ('p1',), 3) for system in ('na8cl8', 'ga8as8', 'al4o6', 'si8-sw')),
    ('ga8as8', 'prospect-patient', ('p1',), 1),
    ('ga8as8', 'prospect-thorough', ('p1',), 3),
    *((system, BASELINE, ('mixed', 'p1', 'symmetric'), 2) for system in ('na8cl8', 'ga8as8', 'al4o6', 'si8-sw')),
    ('si16', BASELINE, ('symmetric',), 4),
    ('si16', 'laqa-published', ('p1',), 5),
    *((system, 'laqa-published', ('p1',), 3) for system in ('na8cl8', 'ga8as8', 'al4o6', 'si8-sw')),
    *((system, 'laqa', ('mixed',), 3) for system in ('na8cl8', 'ga8as8', 'al4o6')),
    ('si16', 'laqa', ('p1',), 5),
    *((system, TRANSFER, ('symmetric',), 2) for system in ('si46', 'al16o24')),
    ('si16', 'prospect', ('mixed', 'symmetric'), 5),
    ('si8', 'prospect', ('p1', 'symmetric'), 10),
    *(('si8', name, ('p1',), 5) for name in ('laqa', 'random', 'uncertainty')),
)


def tasks() -> Iterator[Task]:
    """Yield all tasks, each once."""
    every = (
        Task(system, method, pool, seed)
        for system, method, pools, seeds in STEPS
        for pool in pools
        for seed in range(1, seeds + 1)
    )
    yield from dict.fromkeys(every)


def method_names() -> list[str]:
    """Return all that `--method` takes."""
    return [BASELINE, *METHODS, *ABLATIONS]
