"""Store a large pool in one node and read it back.

In a profile that is thrown away::

    export AIIDA_PATH=$(mktemp -d) && verdi presto --non-interactive && python benchmarks/store_dataset.py
"""

from __future__ import annotations

from time import perf_counter, process_time

import click
import numpy as np
from aiida import load_profile, orm

from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData


@click.command()
@click.option('--frames', 'n_frames', default=10_000, show_default=True)
@click.option('--atoms', 'n_atoms', default=16, show_default=True)
def main(n_frames: int, n_atoms: int) -> None:
    """Time a dataset with energies, forces, stress, status and origin."""
    load_profile()
    rng = np.random.default_rng(0)
    total = n_frames * n_atoms
    frames = Frames(
        numbers=np.full(total, 14),
        offsets=np.arange(n_frames + 1) * n_atoms,
        positions=rng.random((total, 3)),
        cells=7 * np.eye(3) + rng.random((n_frames, 3, 3)),
        energy=rng.random(n_frames),
        forces=rng.random((total, 3)),
        stress=rng.random((n_frames, 3, 3)),
        status=np.full(n_frames, 'ok'),
        origin=[f'p1-{index:06d}' for index in range(n_frames)],
    )
    # The first node of a process pays for the connection to the database.
    DatasetData(frames.select([0])).store()
    start, cpu = perf_counter(), process_time()
    node = DatasetData(frames)
    made = perf_counter()
    node.store()
    stored, cpu = perf_counter(), process_time() - cpu
    assert len(orm.load_node(node.pk).frames) == n_frames
    read = perf_counter()
    size = sum(node.base.repository.get_object_size(name) for name in node.base.repository.list_object_names())
    click.echo(f'{n_frames} frames of {n_atoms} atoms, {size / 1e6:.1f} MB in {len(node.get_arraynames())} files')
    click.echo(f'make {made - start:.2f} s, store {stored - made:.2f} s, load {read - stored:.2f} s')
    click.echo(f'CPU time to make and store {cpu:.2f} s')


if __name__ == '__main__':
    main()
