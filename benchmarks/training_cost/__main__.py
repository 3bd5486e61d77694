"""What trainings cost, which models learn most of few labels, and how many labels a pretrained one saves.

    python -m benchmarks.training_cost ladder --pytorch PYTHON
    python -m benchmarks.training_cost threads --program tensorflow --rounds 3
    python -m benchmarks.training_cost stages --commit 3dc86c1
    python -m benchmarks.training_cost models --pytorch PYTHON --mace PYTHON
    python -m benchmarks.training_cost models --rows pod_060 e2a_20000_060
    python -m benchmarks.training_cost table

Each result is stored when it is there and not made again. PyTorch and MACE need interpreters of their own; what needs
one that is not given is left out. `stages` runs searches in the default profile; further options are those of
`aiida-prospect search`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.conditions import ROOT
from benchmarks.training_cost import ladder, page, stages, threads
from benchmarks.training_cost.models import Laboratory
from benchmarks.training_cost.rows import MACE, PYTORCH, ROWS, TENSORFLOW

RESULTS = ROOT / 'benchmarks' / 'results' / 'training_cost'
PAGE = ROOT / 'docs' / 'benchmarks_training.md'


def parse(words: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.training_cost',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--work', type=Path, default=ROOT / 'build' / 'training_cost', help='for files not kept')
    commands = parser.add_subparsers(dest='command', required=True)
    models = commands.add_parser('models')
    models.add_argument('--rows', nargs='+', default=list(ROWS), choices=list(ROWS), metavar='ROW')
    ladders = commands.add_parser('ladder')
    ladders.add_argument('--names', nargs='+', default=list(ladder.LADDERS), choices=list(ladder.LADDERS))
    at_once = commands.add_parser('threads')
    at_once.add_argument('--program', default=TENSORFLOW, choices=[TENSORFLOW, PYTORCH])
    at_once.add_argument('--rounds', type=int, default=3)
    shares = commands.add_parser('stages')
    shares.add_argument('--commit', required=True, help='whose results are taken')
    for command in (models, ladders, at_once):
        command.add_argument('--pytorch', default='', help='interpreter with DeePMD-kit and PyTorch')
        command.add_argument('--mace', default='', help='interpreter with mace-torch')
    commands.add_parser('table', help='write the page of the documentation')
    return parser.parse_args(words)


def main() -> None:
    """Do what the command line says."""
    options = parse(sys.argv[1:])
    if options.command == 'table':
        PAGE.write_text('\n'.join(page.page(RESULTS)) + '\n')
        return
    if options.command == 'stages':
        stages.take(RESULTS, options.commit)
        return
    pythons = {PYTORCH: options.pytorch, MACE: options.mace}
    laboratory = Laboratory(options.work, RESULTS, pythons)
    if options.command == 'models':
        for name in options.rows:
            if pythons.get(ROWS[name].program, 'this one'):
                laboratory.make(name)
    elif options.command == 'ladder':
        ladder.climb(laboratory, [n for n in options.names if pythons.get(ladder.LADDERS[n].program, 'this one')])
    else:
        threads.measure(laboratory, options.program, options.rounds)


if __name__ == '__main__':
    main()
