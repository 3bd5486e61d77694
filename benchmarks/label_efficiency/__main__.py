"""Command line of the benchmark, see the package."""

from __future__ import annotations

import argparse

import benchmarks.label_efficiency as package
from benchmarks.label_efficiency import plan
from benchmarks.label_efficiency.methods import PROPORTIONS
from benchmarks.label_efficiency.page import write_page
from benchmarks.label_efficiency.run import run_tasks
from benchmarks.label_efficiency.store import Task
from benchmarks.label_efficiency.systems import SYSTEMS
from benchmarks.label_efficiency.truth import store_phases


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.label_efficiency',
        description=package.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest='name', required=True)
    commands.add_parser('phases', help='relax the known phases of all surfaces')
    run = commands.add_parser('run', help='run what is not stored yet')
    run.add_argument('--all', action='store_true', help='what is missing of the plan')
    run.add_argument('--system', choices=list(SYSTEMS))
    run.add_argument('--method', choices=plan.method_names())
    run.add_argument('--pool-kind', choices=list(PROPORTIONS), default='mixed')
    run.add_argument('--seeds', default='1-5', help='a number or a range')
    run.add_argument('--jobs', type=int, default=1, help='processes at the same time, of one thread each')
    run.add_argument('--hours', type=float, help='begin nothing after so many')
    commands.add_parser('table', help='write the page of the documentation and its figures')
    arguments = parser.parse_args()
    if arguments.name == 'phases':
        store_phases()
    elif arguments.name == 'run':
        if not arguments.all and not (arguments.system and arguments.method):
            parser.error('give --all, or --system and --method')
        run_tasks(plan.tasks() if arguments.all else tasks_of(arguments), arguments.jobs, arguments.hours)
    else:
        write_page()


def tasks_of(arguments: argparse.Namespace) -> list[Task]:
    """Return the tasks that the command line names."""
    first, _, last = arguments.seeds.partition('-')
    seeds = range(int(first), int(last or first) + 1)
    return [Task(arguments.system, arguments.method, arguments.pool_kind, seed) for seed in seeds]


if __name__ == '__main__':
    main()
