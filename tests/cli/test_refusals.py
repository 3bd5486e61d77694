"""Tests that bad input is refused before anything is submitted, with a sentence that says what to do."""

from __future__ import annotations

import sys

import click
import numpy as np
import pytest
from aiida import orm
from aiida.common.exceptions import MissingEntryPointError, ValidationError
from ase.build import bulk

from aiida_prospect.cli.codes import find_python
from aiida_prospect.cli.root import cmd_root
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.workflows.search import SearchWorkChain


@pytest.fixture
def make_code():
    """Return a factory of codes that are hidden from what looks at all of them."""

    def make(label, executable, computer, plugin=None):
        code = orm.InstalledCode(
            label=label, filepath_executable=executable, computer=computer, default_calc_job_plugin=plugin
        ).store()
        code.is_hidden = True
        return code

    return make


@pytest.fixture
def refuse(python_code):
    """Return a function that types a command and returns what it is answered; no process may have been made."""

    def run(*arguments):
        before = orm.QueryBuilder().append(orm.ProcessNode).count()
        command = ['search', '--python', python_code.full_label, *arguments]
        with pytest.raises(click.ClickException) as refusal:
            cmd_root.main(command, prog_name='aiida-prospect', standalone_mode=False)
        assert orm.QueryBuilder().append(orm.ProcessNode).count() == before
        return ' '.join(refusal.value.format_message().split())

    return run


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (['Xx8'], '`Xx` in `Xx8` is no chemical element'),
        (['Si0'], 'asks for no atoms'),
        (['silicon'], 'cannot be read'),
        (['Si8', '--max-labels', '-5'], '`max_labels` must be greater than 0'),
        (['Si8', '--max-labels', '2'], 'a search needs at least 4'),
        (['Si8', '--max-cycles', '0'], '`max_cycles` must be greater than 0'),
        (['Si8', '--strategy', 'guess'], 'laqa, prospect, random, uncertainty'),
        (['Si8', '--labels', 'oracle'], 'calculator, quantumespresso, quantumespresso_bundle, vasp'),
        (['Si8', '--potential', 'Si_nobody'], 'Si_Zuo_JPCA2020'),
        (['XeF2'], 'give a calculator of ASE'),
        (['Si8', '--force-field', 'guess'], 'deepmd, pod'),
        (['Si8', '--labels', 'quantumespresso', '--code', 'nothing@here'], 'there is no code `nothing@here`'),
        (['Si8', '--labels', 'quantumespresso_bundle', '--code', 'nothing@here'], 'there is no code `nothing@here`'),
        (['Si8', '--command', 'mpirun pw.x'], '`--command` is for `--labels quantumespresso_bundle`'),
        (['Si8', '--pseudos', 'any'], 'add `--labels quantumespresso` or `--labels vasp`'),
    ],
    ids=lambda value: '-'.join(value) if isinstance(value, list) else '',
)
def test_refused_with_advice(refuse, arguments, sentence):
    assert sentence in refuse(*arguments)


@pytest.mark.parametrize('option', ['--python', '--train-python', '--code'])
def test_python_that_is_not_there(refuse, option):
    answer = refuse('Si8', option, 'python@moon')
    assert f'there is no code `python@moon`: give another one with `{option}`' in answer
    assert 'verdi code create core.code.installed --label python --computer moon --filepath-executable' in answer


def test_program_that_is_not_there(refuse):
    answer = refuse('Si8', '--labels', 'vasp', '--code', 'vasp@moon')
    assert '--label vasp --computer moon' in answer
    assert '--default-calc-job-plugin vasp.vasp' in answer


def test_label_of_several_codes(refuse, make_code, aiida_localhost, aiida_computer):
    codes = [make_code('twin', '/bin/python3', computer) for computer in (aiida_localhost, aiida_computer('elsewhere'))]
    answer = refuse('Si8', '--python', 'twin')
    assert all(f'{code.full_label} (PK {code.pk})' in answer for code in codes)


@pytest.mark.parametrize('labels', [[], ['--labels', 'quantumespresso_bundle']], ids=['forgotten', 'in one job'])
def test_program_where_python_is_needed(refuse, make_vasp_code, pw_code, labels):
    for name, code in (('quantumespresso', pw_code), ('vasp', make_vasp_code())):
        answer = refuse('Si8', *labels, '--code', code.full_label)
        assert '`--code` needs a Python interpreter' in answer
        assert f'it goes with `--labels {name} --code {code.full_label}`' in answer


def test_program_of_no_labelling(refuse, make_code, aiida_localhost):
    code = make_code('bash', '/bin/bash', aiida_localhost, 'core.arithmetic.add')
    assert '`--python` needs a Python interpreter: see `verdi code list`' in refuse('Si8', '--python', code.full_label)


@pytest.mark.parametrize('plugin', [None, 'prospect.relax', 'core.arithmetic.add'])
def test_interpreter_of_any_plugin_is_taken(make_code, aiida_localhost, plugin):
    code = make_code(f'interpreter-{plugin}', sys.executable, aiida_localhost, plugin)
    assert find_python(code.full_label).pk == code.pk


@pytest.mark.parametrize('option', ['--reference', '--structure'])
def test_structure_that_is_no_crystal(refuse, tmp_path, option):
    crystal = bulk('Si', 'diamond', a=5.43)
    for name, periodic in (('molecule', False), ('slab', [True, True, False])):
        crystal.pbc = periodic
        crystal.write(tmp_path / f'{name}.xyz', format='extxyz')
        answer = refuse('Si8', option, str(tmp_path / f'{name}.xyz'))
        assert f'{name}.xyz is not periodic in all directions' in answer


@pytest.mark.parametrize(
    ('name', 'content'),
    [
        ('words.cif', 'no crystal\n'),
        ('broken.cif', 'data_x\n_cell_length_a abc\nloop_\n_atom_site_label\nSi1\n'),
        ('POSCAR', 'Si\n1.0\n1 0\n'),
        ('short.xyz', '3\n\nSi 0 0\n'),
        ('any.unknown', '3\n'),
        ('empty.cif', ''),
    ],
    ids=lambda value: value if '.' in value else '',
)
def test_structure_that_cannot_be_read(refuse, tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content)
    start = f'{path} cannot be read as a crystal structure: '
    answer = refuse('Si8', '--structure', str(path))
    assert answer.startswith(start)
    assert len(answer) > len(start)


@pytest.mark.parametrize('command', [['search', 'Si8'], ['show', '1']])
def test_picture_that_cannot_be_drawn(command):
    with pytest.raises(click.BadParameter, match=r'`si\.xyz` ends with none of \.png, \.svg, \.pdf'):
        cmd_root.main([*command, '--picture', 'si.xyz'], prog_name='aiida-prospect', standalone_mode=False)


def test_picture_that_cannot_be_written(refuse, tmp_path):
    """What is found out hours later is of no use."""
    (tmp_path / 'file').touch()
    path = tmp_path / 'file' / 'si.png'
    assert refuse('Si8', '--picture', str(path)).startswith(f'`{path}` cannot be written: ')


def test_picture_of_a_search_that_is_submitted(refuse):
    assert 'aiida-prospect show PK --picture FILE' in refuse('Si8', '--submit', '--picture', 'si.png')


def test_misspelt_status():
    with pytest.raises(click.BadParameter, match=r"'ok', 'unconverged', 'failed', 'rejected', 'waiting'"):
        cmd_root.main(['labels', '1', '--status', 'good'], prog_name='aiida-prospect', standalone_mode=False)


def test_structure_with_partly_occupied_sites(refuse, tmp_path):
    crystal = bulk('Si', 'diamond', a=5.43)
    crystal.info['occupancy'] = {'0': {'Si': 0.5, 'Ge': 0.5}, '1': {'Si': 1.0}}
    crystal.arrays['spacegroup_kinds'] = np.arange(2)
    crystal.write(tmp_path / 'alloy.cif')
    assert 'alloy.cif` has partly occupied sites' in refuse('Si8', '--reference', str(tmp_path / 'alloy.cif'))


def test_misspelt_override(refuse, tmp_path):
    (tmp_path / 'overrides.yaml').write_text('pool: {n_structure: 10}')
    assert '`n_structure` is unknown' in refuse('Si8', '--overrides', str(tmp_path / 'overrides.yaml'))


def test_value_where_a_mapping_belongs(refuse, tmp_path):
    (tmp_path / 'overrides.yaml').write_text('search: {budget: 5}')
    command = ['Si8', '--overrides', str(tmp_path / 'overrides.yaml'), '--max-labels', '40']
    assert '`budget` is 5' in refuse(*command)


def test_overrides_that_are_no_yaml(refuse, tmp_path):
    path = tmp_path / 'overrides.yaml'
    path.write_text('pool:\n  n_structures: 10}\n  - 1\n')
    assert f'`{path}`, line 3, is no YAML' in refuse('Si8', '--overrides', str(path))


def test_overrides_of_an_audit_that_are_no_yaml(aiida_profile, tmp_path):
    node = orm.WorkChainNode(process_type=SearchWorkChain.build_process_type()).store()
    path = tmp_path / 'tighter.yaml'
    path.write_text('parameters: [1')
    command = ['audit', str(node.pk), '--recompute', '--overrides', str(path)]
    with pytest.raises(click.ClickException, match=r'tighter\.yaml`, line 1, is no YAML'):
        cmd_root.main(command, prog_name='aiida-prospect', standalone_mode=False)


def test_pressure(refuse, tmp_path):
    (tmp_path / 'overrides.yaml').write_text('explore: {parameters: {pressure: 0.1}}')
    assert '`explore.parameters.pressure` is 0.1' in refuse('Si8', '--overrides', str(tmp_path / 'overrides.yaml'))


def test_pressure_of_the_final_relaxations(refuse, pw_code, pseudo_family, tmp_path):
    (tmp_path / 'overrides.yaml').write_text('label: {relax: {parameters: {CELL: {press: 100}}}}')
    labels = ['--labels', 'quantumespresso', '--code', pw_code.full_label, '--pseudos', pseudo_family.label]
    assert '`label.relax.parameters.CELL.press` is 100' in refuse(
        'Si8', *labels, '--overrides', str(tmp_path / 'overrides.yaml')
    )


def test_processors_that_would_be_idle(refuse, pw_code, pseudo_family, tmp_path):
    options = '{resources: {num_machines: 2, num_mpiprocs_per_machine: 8}, withmpi: false}'
    (tmp_path / 'overrides.yaml').write_text(f'label: {{options: {options}}}')
    labels = ['--labels', 'quantumespresso', '--code', pw_code.full_label, '--pseudos', pseudo_family.label]
    assert 'asks for 16 processes' in refuse('Si8', *labels, '--overrides', str(tmp_path / 'overrides.yaml'))


def test_missing_pseudopotential(refuse, pw_code, pseudo_family):
    answer = refuse(
        'NaCl', '--labels', 'quantumespresso', '--code', pw_code.full_label, '--pseudos', pseudo_family.label
    )
    assert 'Cl, Na' in answer or 'Na, Cl' in answer
    assert pseudo_family.label in answer


def test_missing_pseudopotential_of_many_runs_in_one_job(refuse, pseudo_family):
    answer = refuse('NaCl', '--labels', 'quantumespresso_bundle', '--pseudos', pseudo_family.label)
    assert 'no pseudopotential of Cl, Na' in answer


def test_family_that_is_not_installed(refuse, pw_code):
    answer = refuse('Si8', '--labels', 'quantumespresso', '--code', pw_code.full_label, '--pseudos', 'nobody')
    assert 'aiida-pseudo install' in answer


def test_potcars_that_are_not_there(refuse, make_vasp_code, potcar_family):
    command = ['--labels', 'vasp', '--code', make_vasp_code().full_label, '--pseudos']
    assert 'aiida-vasp potcar uploadfamily' in refuse('Si8', *command, 'nobody')
    assert 'no POTCAR `Al` for Al' in refuse('Al4O6', *command, potcar_family)


def test_code_of_another_program(refuse, make_vasp_code, pw_code, pseudo_family, potcar_family):
    answer = refuse('Si8', '--labels', 'vasp', '--code', pw_code.full_label, '--pseudos', potcar_family)
    assert 'is for `quantumespresso.pw`, needed is one for `vasp.vasp`' in answer
    command = ['--labels', 'quantumespresso', '--code', make_vasp_code().full_label, '--pseudos', pseudo_family.label]
    assert 'is for `vasp.vasp`, needed is one for `quantumespresso.pw`' in refuse('Si8', *command)


def test_executable_that_is_not_installed(python_code, aiida_localhost, pseudo_family):
    """The builder is refused, because the code names a file that is not on the computer."""
    code = orm.InstalledCode(
        label='ghost',
        computer=aiida_localhost,
        filepath_executable='/nowhere/pw.x',
        default_calc_job_plugin='quantumespresso.pw',
    ).store()
    options = {'code': code, 'pseudo_family': pseudo_family.label}

    def make() -> SearchWorkChain:
        builder = SearchWorkChain.get_builder_from_protocol(
            {'Si': 2}, code=python_code, labels='quantumespresso', label_options=options
        )
        return SearchWorkChain(inputs=builder)

    with pytest.raises(ValueError, match=r'/nowhere/pw\.x'):
        make()


def test_corrupt_data_set(generate_frames, python_code):
    node = DatasetData(generate_frames('Si8', 2))
    node.base.repository.put_object_from_bytes(b'no array', 'positions.npy')
    with pytest.raises(ValidationError, match='the arrays do not make frames'):
        node.store()
    assert not node.is_stored


@pytest.mark.parametrize(('name', 'extra'), [('quantumespresso', 'qe'), ('vasp', 'vasp')])
def test_plugin_that_is_not_installed(refuse, monkeypatch, name, extra):
    def missing(entry_point):
        raise MissingEntryPointError(entry_point)

    monkeypatch.setattr(f'aiida_prospect.workflows.label.{name}.WorkflowFactory', missing)
    code = ['--code', 'python@localhost', '--pseudos', 'any']
    assert f'pip install "aiida-prospect[{extra}]"' in refuse('Si8', '--labels', name, *code)
