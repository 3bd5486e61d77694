"""Tests that bad input is refused before anything is submitted, with a sentence that says what to do."""

from __future__ import annotations

import click
import pytest
from aiida import orm
from aiida.common.exceptions import MissingEntryPointError, ValidationError

from aiida_prospect.cli.root import cmd_root
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.workflows.search import SearchWorkChain


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
    ],
    ids=lambda value: '-'.join(value) if isinstance(value, list) else '',
)
def test_refused_with_advice(refuse, arguments, sentence):
    assert sentence in refuse(*arguments)


def test_python_that_is_not_there(refuse):
    assert 'there is no code `python@moon`' in refuse('Si8', '--python', 'python@moon')


def test_misspelt_override(refuse, tmp_path):
    (tmp_path / 'overrides.yaml').write_text('pool: {n_structure: 10}')
    assert '`n_structure` is unknown' in refuse('Si8', '--overrides', str(tmp_path / 'overrides.yaml'))


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
