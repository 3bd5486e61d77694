"""The commands, from what `--help` knows."""

from __future__ import annotations

from collections.abc import Iterator

import click

from aiida_prospect.cli.root import cmd_root
from generators.text import documentation, table


def commands() -> str:
    """Return a section for each command."""
    return '\n'.join(section(name, command) for name, command in walk(cmd_root, 'aiida-prospect'))


def walk(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """Yield all commands below a group with their names."""
    for name in sorted(group.commands):
        # Asked for in this way a command has the options of all commands too.
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            yield from walk(command, f'{path} {name}')
        else:
            yield f'{path} {name}', command


def section(name: str, command: click.Command) -> str:
    """Return what a command does, and its options."""
    context = click.Context(command, info_name=name)
    usage = ' '.join(command.collect_usage_pieces(context))
    options = [row for option in command.params if (row := describe(option, context))]
    body, _ = documentation(command.callback)
    parts = [f'## {name}\n', f'```text\n{name} {usage}\n```\n', f'{body}\n', table(('option', 'meaning'), options)]
    return '\n'.join(parts)


def describe(parameter: click.Parameter, context: click.Context) -> tuple[str, str] | None:
    """Return an option and its help as `--help` has them; `None` for arguments and hidden options."""
    record = parameter.get_help_record(context)
    return (f'`{record[0]}`', record[1]) if record and isinstance(parameter, click.Option) else None
