"""What labels of small crystals by pw.x cost with a job for each, and with one job for all.

Needs a profile with the codes `pw@localhost` and `python@localhost` and a family of pseudopotentials, as
`deploy/quickstart.sh` makes it; better one that can be thrown away. The labels of both ways are compared.

    python benchmarks/label_bundle.py --labels 20 --pseudos FAMILY
"""

from __future__ import annotations

import json
import os
from time import perf_counter, process_time
from typing import Any

import click
import numpy as np
from aiida import load_profile, orm
from aiida.engine import run_get_node
from aiida.plugins import WorkflowFactory

from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.pool.generate import generate
from aiida_prospect.methods.pool.spec import PoolSpec

COMPOSITION = {'Si': 2}
KINDS = {'quantumespresso': 'pw@localhost', 'quantumespresso_bundle': 'python@localhost'}


def label(kind: str, frames: Frames, pseudos: str, concurrent: int) -> tuple[Frames, dict[str, Any]]:
    """Label, and return the labels and what they cost."""
    builder = WorkflowFactory(f'prospect.label.{kind}').get_builder_from_protocol(
        DatasetData(frames), code=orm.load_code(KINDS[kind]), pseudo_family=pseudos, protocol='fast'
    )
    builder.max_concurrent = orm.Int(concurrent)
    load, started, spent = os.getloadavg()[0], perf_counter(), process_time()
    outputs, node = run_get_node(builder)
    report = outputs['report'].get_dict()
    figures = {
        'labels': kind,
        'max_concurrent': concurrent,
        'wall_seconds': round(perf_counter() - started, 1),
        'seconds_of_aiida': round(process_time() - spent, 1),
        'core_seconds_of_jobs': round(report['core_seconds'], 1),
        'by_status': {key: value for key, value in report['by_status'].items() if value},
        'jobs': sum(isinstance(child, orm.CalcJobNode) for child in node.called_descendants),
        'nodes': orm.QueryBuilder().append(orm.Node, filters={'ctime': {'>=': node.ctime}}).count(),
        'load_before_and_after': [round(load, 1), round(os.getloadavg()[0], 1)],
    }
    return outputs['labels'].frames, figures


@click.command()
@click.option('--labels', 'number', default=20, show_default=True)
@click.option('--pseudos', required=True, help='Label of the family of pseudopotentials.')
@click.option('--concurrent', default=1, show_default=True, help='Jobs at a time, where each label has one.')
def main(number: int, pseudos: str, concurrent: int) -> None:
    """Label the same random crystals in both ways, and print a line of JSON for each."""
    load_profile()
    frames, _ = generate(PoolSpec(COMPOSITION, number), np.random.default_rng(1))
    found = []
    for kind in KINDS:
        labels, figures = label(kind, frames, pseudos, concurrent)
        found.append(labels)
        click.echo(json.dumps(figures))
    both = np.isfinite(found[0].energy) & np.isfinite(found[1].energy)
    difference = np.abs(found[0].energy_per_atom - found[1].energy_per_atom)[both]
    click.echo(json.dumps({'labelled_by_both': int(both.sum()), 'largest_difference_ev_per_atom': difference.max()}))


if __name__ == '__main__':
    main()
