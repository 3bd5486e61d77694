"""Tests that a search with settings that would end it later is refused at its beginning."""

from __future__ import annotations

import pytest
from aiida import orm
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from ase.build import bulk, molecule

from aiida_prospect.workflows.protocols import ProtocolError, merge
from aiida_prospect.workflows.search_checks import check_steps


@pytest.fixture
def refusal(make_builder):
    """Return a function that returns what a search is answered, of which nothing may be stored."""

    def act(change):
        builder = make_builder()
        change(builder)
        before = orm.QueryBuilder().append(orm.ProcessNode).count()
        with pytest.raises(ValueError, match='Error occurred validating') as refused:
            instantiate_process(get_manager().get_runner(), builder)
        assert orm.QueryBuilder().append(orm.ProcessNode).count() == before
        return ' '.join(str(refused.value).split())

    return act


def laid_over(port, **changes):
    """Return a change of a builder."""

    def change(builder):
        namespace, _, name = port.rpartition('.')
        owner = builder
        for part in namespace.split('.') if namespace else []:
            owner = owner[part]
        owner[name] = orm.Dict(merge(owner[name].get_dict(), changes))

    return change


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        (laid_over('pool.parameters', n_structures=-5), '`n_structures`'),
        (laid_over('pool.parameters', seed=-1), 'the seed of the pool is -1'),
        (laid_over('pool.parameters', origin_prefix='c01-mine-'), "`origin_prefix` is 'c01-mine-'"),
        (laid_over('pool.parameters', origin_prefix=7), '`origin_prefix` is 7'),
        (laid_over('pool.parameters', space_groups=[500]), '`space_groups`'),
        (laid_over('parameters', selection={'n_initial': 3}), 'with fewer than 4 usable labels'),
        (laid_over('parameters', selection={'n_select': 0}), '`selection.n_select` is 0'),
        (laid_over('parameters', selection={'options': {'prospect': {'kapa': 1}}}), "unknown options ['kapa']"),
        (laid_over('parameters', selection={'strategy': 'lucky'}), '`lucky` is no selection strategy'),
        (laid_over('parameters', convergence={'n_clusters': 0}), '`convergence`: `n_clusters`'),
        (laid_over('parameters', convergence={'max_fal': 0.1}), '`convergence`: ConvergenceSettings.__init__'),
        (laid_over('parameters', clusters={'tolerance': 0.0}), '`clusters`: tolerances must be positive'),
        (laid_over('parameters', final={'n_minima': 0}), '`final.n_minima` is 0'),
        (laid_over('parameters', final={'energy_window': -1.0}), '`final.energy_window` is -1.0'),
        (laid_over('parameters', ranking={'symprec': -0.1}), '`ranking`: tolerances must be positive'),
        (laid_over('label.relax', fmxa=0.01), '`fmxa` is no setting of a relaxation'),
        (laid_over('label.options', queue='cpu'), 'did you mean queue_name?'),
        (laid_over('explore.options', max_wallclock_seconds='1e4'), "Got '<class 'str'>'"),
        (laid_over('explore.options', resources={'num_machines': 0}), '`options.resources` will not do'),
        (laid_over('train.member.options', resources={'num_nodes': 1}), '`options.resources` will not do'),
        (laid_over('train.member.parameters', degree=1), '`member.parameters`'),
    ],
)
def test_refused_before_anything_is_stored(refusal, change, sentence):
    assert sentence in refusal(change)


def test_folders_of_labels_have_the_policy_of_the_search(make_builder, refusal):
    def of_labels(builder):
        builder.label.clean_workdir = orm.Str('keep all')

    with pytest.raises(ValueError, match=r'section `search` of the overrides'):
        make_builder(overrides={'label': {'clean_workdir': 'keep all'}})
    assert '`label.clean_workdir`' in refusal(of_labels)
    builder = make_builder(overrides={'search': {'clean_workdir': 'keep all'}})
    assert builder.clean_workdir == 'keep all'
    assert 'clean_workdir' not in builder.label


def test_labels_that_a_search_begins_with_count(make_builder):
    parameters = merge(make_builder().parameters.get_dict(), {'selection': {'n_initial': 3}, 'min_usable': 4})
    check_steps(parameters, n_given=1)
    with pytest.raises(ValueError, match='with fewer than 4 usable labels'):
        check_steps(parameters, n_given=0)


def test_code_that_was_removed(refusal, aiida_localhost, tmp_path):
    program = tmp_path / 'python'
    program.write_text('#!/bin/sh\n')
    program.chmod(0o755)
    code = orm.InstalledCode(label='removed', filepath_executable=str(program), computer=aiida_localhost).store()
    code.is_hidden = True
    program.unlink()

    def of_training(builder):
        builder.train.member.code = code

    def of_relaxation(builder):
        builder.explore.code = code

    for change in (of_training, of_relaxation):
        assert 'the code `removed@localhost` cannot be used' in refusal(change)


def test_structures_that_do_not_fit_are_named(refusal):
    germanium, cluster = orm.StructureData(ase=bulk('Ge')), orm.StructureData(ase=molecule('Si2H6'))

    def into_pool(builder):
        builder.pool.structures = {'germanium': germanium}

    def as_reference(builder):
        builder.references = {'disilane': cluster}

    assert 'the structure `germanium` cannot be in the pool' in refusal(into_pool)
    assert 'the reference `disilane` will not do' in refusal(as_reference)


def test_formula_in_place_of_a_composition(make_builder):
    assert make_builder(composition='Si4').pool.parameters['composition'] == {'Si': 4}


@pytest.mark.parametrize(
    ('overrides', 'sentence'),
    [
        ({'search': {'hole_depth': '5e-1'}}, "`hole_depth` is '5e-1', expected a number"),
        ({'search': {'budget': 100}}, '`budget` is 100, expected a section'),
        ({'explore': {'parameters': {'sanity': None}}}, '`parameters.sanity` is null, expected a section'),
        ({'label': {'max_failed_fraction': None}}, '`max_failed_fraction` is null, expected a number'),
        ({'train': {'ensemble': {'min_models': None}}}, '`ensemble.min_models` is null'),
        ({'search': {'ranking': {'symprek': 0.1}}}, '`ranking.symprek` is unknown; known here: angle_tol'),
    ],
)
def test_override_of_another_kind(make_builder, overrides, sentence):
    with pytest.raises(ProtocolError) as refused:
        make_builder(overrides=overrides)
    assert sentence in str(refused.value)
