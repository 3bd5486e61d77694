"""Inputs, outputs and exit codes of work chains and calculations, from their specifications."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Any

from aiida.engine import CalcJob, Process, WorkChain
from aiida.engine.processes.ports import PortNamespace
from aiida.orm import Data
from plumpy.ports import UNSPECIFIED

from generators.text import documentation, own_entry_points, table

# What every process of AiiDA has.
COMMON = ('metadata',)


def work_chains() -> str:
    """Return a section for each work chain."""
    return '\n'.join(section(entry_point) for entry_point in own_entry_points('aiida.workflows'))


def calculations() -> str:
    """Return a section for each calculation job, then for each calculation function."""
    found = own_entry_points('aiida.calculations')
    jobs = [item for item in found if isinstance(item.load(), type) and issubclass(item.load(), CalcJob)]
    functions = [item for item in found if item not in jobs]
    parts = ['## Calculation jobs\n', *map(section, jobs), '## Calculation functions\n', *map(section, functions)]
    return '\n'.join(parts)


def section(entry_point: EntryPoint) -> str:
    """Return what there is to know about one process."""
    loaded = entry_point.load()
    process = loaded if isinstance(loaded, type) else loaded.process_class
    body, fields = documentation(loaded)
    spec = process.spec()
    level = '##' if issubclass(process, WorkChain) else '###'
    path = entry_point.value.replace(':', '.')
    parts = [f'{level} {entry_point.name}\n', f'`{path}`\n', f'{body}\n', '**Inputs**\n']
    parts.append(table(('name', 'type', 'default', ''), rows(spec.inputs, fields)))
    if isinstance(loaded, type):
        parts += ['**Outputs**\n', table(('name', 'type', 'default', ''), rows(spec.outputs, {}))]
        codes = [(code.status, label, code.message) for label, code in own_exit_codes(process)]
        parts += ['**Exit codes**\n', table(('status', 'name', 'message'), codes)]
    elif 'returns' in fields:
        parts.append(f'**Returns** {fields["returns"]}\n')
    if issubclass(process, WorkChain):
        parts += ['**Outline**\n', f'```text\n{outline(spec.get_outline().get_description())}\n```\n']
    return '\n'.join(parts)


def own_exit_codes(process: type[Process]) -> list[tuple[str, Any]]:
    """Return the exit codes that are not AiiDA's own, by status."""
    common = {code.status for code in (CalcJob if issubclass(process, CalcJob) else Process).exit_codes.values()}
    return sorted(
        ((name, code) for name, code in process.exit_codes.items() if code.status not in common),
        key=lambda item: item[1].status,
    )


def rows(ports: PortNamespace, described: dict[str, str], prefix: str = '') -> Iterator[tuple[str, str, str, str]]:
    """Yield name, type, default and meaning of each port, those in namespaces too."""
    for name, port in sorted(ports.items()):
        if name in COMMON or name.startswith('monitors'):
            continue
        path = f'{prefix}{name}'
        text = port.help or described.get(name, '')
        if isinstance(port, PortNamespace):
            kind = f'any number of {types(port)}' if port.dynamic else 'namespace'
            yield f'`{path}`', kind, '' if port.required else 'optional', text
            yield from rows(port, described, f'{path}.')
        else:
            yield f'`{path}`', types(port), default(port), text
    if ports.dynamic and not prefix:
        named = [name for name in described if name not in ports and name not in ('returns', 'raises')]
        yield '`…`', f'any number of {types(ports)}', '', '; '.join(f'`{name}`: {described[name]}' for name in named)


def types(port: Any) -> str:
    """Return the names of the types that a port takes."""
    valid = port.valid_type
    if valid is None:
        return 'anything'
    names = [kind.__name__ for kind in (valid if isinstance(valid, tuple) else (valid,)) if kind is not type(None)]
    return ' or '.join(f'`{name}`' for name in names)


def default(port: Any) -> str:
    """Return the default of an input, or whether it may be left out."""
    value = getattr(port, 'default', UNSPECIFIED) if getattr(port, 'has_default', lambda: False)() else UNSPECIFIED
    if value is UNSPECIFIED:
        return 'required' if port.required else 'optional'
    value = value() if callable(value) else value
    if isinstance(value, Data):
        value = value.get_dict() if hasattr(value, 'get_dict') else getattr(value, 'value', value)
    return 'optional' if value is None else f'`{value!r}`'


def outline(description: Any, indent: int = 0) -> str:
    """Return the outline of a work chain, indented as its code is."""
    if isinstance(description, str):
        return ' ' * indent + description
    if isinstance(description, dict):
        return '\n'.join(f'{" " * indent}{key}\n{outline(part, indent + 4)}' for key, part in description.items())
    return '\n'.join(outline(part, indent) for part in description)
