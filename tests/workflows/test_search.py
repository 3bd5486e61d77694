"""Tests for the search, with real training, relaxation and labels of an embedded potential."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import run_get_node
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.manage.caching import enable_caching
from ase.build import bulk

from aiida_prospect.cli.progress import describe
from aiida_prospect.cli.root import cmd_root
from aiida_prospect.cli.tables import summary_lines
from aiida_prospect.common.enums import LabelStatus
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.methods.figures import draw_search
from aiida_prospect.methods.labels import count_labels
from aiida_prospect.workflows.protocols import merge
from aiida_prospect.workflows.provenance.calls import called, jobs_below
from aiida_prospect.workflows.provenance.cycles import lineage
from aiida_prospect.workflows.provenance.progress import STAGES, stage_in_words
from aiida_prospect.workflows.search import SearchWorkChain
from aiida_prospect.workflows.summary import summarise


@pytest.fixture
def labelled(make_builder, generate_frames):
    """Return a function that has a search in its second cycle inspect labels with these statuses."""

    def act(*cycles):
        process = instantiate_process(get_manager().get_runner(), make_builder())
        process.setup()
        for number, statuses in enumerate(cycles):
            node = orm.WorkChainNode()
            node.set_process_state('finished')
            node.set_exit_status(0 if 'ok' in statuses else 401)
            node.store()
            if statuses:
                frames = generate_frames('Si4', len(statuses), labelled=True)
                labels = DatasetData(frames.replace(status=statuses)).store()
                labels.base.links.add_incoming(node, LinkType.RETURN, 'labels')
            process.ctx.label, process.ctx.cycle = node, number
            ended = process.inspect_label()
        return ended

    return act


def test_ends_with_ranked_minima_and_says_why(search):
    assert search.exit_status in (0, SearchWorkChain.exit_codes.ERROR_BUDGET_SPENT.status), search.exit_message
    assert search.outputs.stop['reason'] in ('converged', 'max_cycles')
    energies = [item['energy_above_best'] for item in search.outputs.ranking['minima']]
    assert energies == sorted(energies)
    assert energies[0] == 0
    assert len(search.outputs.minima) == len(energies) == len(list(search.outputs.structures))


def test_every_candidate_comes_back_with_a_status(search):
    for cycle in (search.outputs.cycle_00, search.outputs.cycle_01):
        labels = cycle.labels.frames
        assert list(labels.origin) == list(cycle.candidates.frames.origin)
        assert set(labels.status) <= {status.value for status in LabelStatus}
        usable = labels.status == LabelStatus.OK.value
        assert np.array_equal(np.isfinite(labels.energy), usable)


def test_provenance_leads_from_a_minimum_to_every_label_without_a_gap(search):
    """Walk back from the structure over the relaxation, the pool, the potentials and their training to the labels."""
    structure = search.outputs.structures.minimum_00
    seen, reached = {structure.pk}, [structure]
    data_links = (LinkType.CREATE, LinkType.INPUT_CALC)
    while reached:
        links = reached.pop().base.links.get_incoming(link_type=data_links).all()
        new = [link.node for link in links if link.node.pk not in seen]
        seen.update(node.pk for node in new)
        reached += new
    trained_on = [cycle.labels for cycle in (search.outputs.cycle_00, search.outputs.cycle_01)]
    for labels in trained_on:
        assert labels.pk in seen
        assert isinstance(labels.creator, orm.CalculationNode)
        assert labels.creator.pk in seen
    kinds = {orm.load_node(pk).process_type for pk in seen if isinstance(orm.load_node(pk), orm.ProcessNode)}
    for name in ('pod_train', 'relax', 'evaluate', 'select_candidates', 'generate_pool', 'rank_minima'):
        assert f'aiida.calculations:prospect.{name}' in kinds
    roots = [orm.load_node(pk) for pk in seen if orm.load_node(pk).base.links.get_incoming().first() is None]
    assert all(isinstance(node, orm.Data) for node in roots)


def test_summary_is_json_and_counts_every_label(search):
    summary = json.loads(json.dumps(summarise(search)))
    n_labels = sum(len(search.outputs[f'cycle_{cycle:02d}'].labels) for cycle in (0, 1))
    assert sum(summary['labels']['by_status'].values()) == n_labels
    assert summary['cost']['train'] > 0
    assert summary['cost']['total'] == pytest.approx(sum(summary['cost'][key] for key in summary['cost']) / 2)
    text = '\n'.join(summary_lines(summary))
    for words in ('Why it ended', 'space group', 'meV/atom', 'Core seconds'):
        assert words in text


def test_picture(search, tmp_path):
    draw_search(summarise(search), search.outputs.minima.frames, tmp_path / 'search.png')
    assert (tmp_path / 'search.png').read_bytes().startswith(b'\x89PNG')


def test_show(search, capsys):
    cmd_root.main(['show', str(search.pk), '--json'], prog_name='aiida-prospect', standalone_mode=False)
    assert json.loads(capsys.readouterr().out)['pk'] == search.pk


def test_folders_of_jobs_that_ended_well_are_gone(search):
    jobs = [node for node in search.called_descendants if isinstance(node, orm.CalcJobNode)]
    left = [job for job in jobs if Path(job.get_remote_workdir()).exists()]
    assert jobs
    assert all(job.is_failed for job in left)


def test_rerun_with_equal_inputs_is_taken_from_the_cache(search, make_builder):
    with enable_caching():
        again = run_get_node(make_builder())[1]
    jobs = [node for node in again.called_descendants if isinstance(node, orm.CalcJobNode)]
    assert jobs
    assert all(node.base.caching.is_created_from_cache for node in jobs)
    assert again.outputs.minima.frames.equals(search.outputs.minima.frames)


def test_restart_keeps_the_labels(search, restarted_search):
    assert 'cycle_00' not in restarted_search.outputs
    assert restarted_search.outputs.cycle_01.candidates.frames.equals(search.outputs.cycle_01.candidates.frames)
    assert 'minima' in restarted_search.outputs


def test_a_restart_asks_for_the_labels_that_its_first_cycle_lacks(failed_search):
    """Trained on fewer than `min_usable`, the members of an ensemble are the same, and sure of whatever they say."""
    builder = SearchWorkChain.get_builder_restart(failed_search)
    builder.pool.parameters = orm.Dict({**builder.pool.parameters.get_dict(), 'n_structures': 12})
    made = failed_search.outputs.cycle_00.labels
    assert builder.restart.labels['cycle_00'].uuid == made.uuid
    assert (len(made), builder.restart.cycle.value) == (6, 1)
    process = instantiate_process(get_manager().get_runner(), builder)
    process.setup()
    process.make_pool()
    assert process.should_select()
    process.select()
    assert len(process.ctx.candidates) == 1
    assert process.should_label()
    assert lineage(process.node) == [failed_search, process.node]


def test_a_restart_without_candidates_for_the_labels_that_it_lacks_ends(failed_search):
    builder = SearchWorkChain.get_builder_restart(failed_search)
    labelled = failed_search.outputs.cycle_00.labels.frames
    builder.restart.pool = DatasetData(labelled.without('energy', 'forces', 'stress', 'status', 'reason'))
    node = run_get_node(builder)[1]
    assert node.exit_status == SearchWorkChain.exit_codes.ERROR_LABEL_FAILED.status, node.exit_message
    assert 'cycle 1: 6 usable labels; at least 7 are needed' in node.exit_message
    assert len(node.outputs.cycle_01.candidates) == 0


def test_own_structures_that_collapsed_begin_anew(make_builder):
    builder = make_builder()
    given = orm.StructureData(ase=bulk('Si', 'diamond', a=5.43).repeat((2, 1, 1)))
    builder.pool.structures = {'mine': given}
    process = instantiate_process(get_manager().get_runner(), builder)
    process.setup()
    process.make_pool()
    pool = process.ctx.pool.frames
    collapsed = pool.replace(positions=pool.positions / 2, cells=pool.cells / 2, status=['unphysical'] * len(pool))
    process.ctx.pool, process.ctx.cycle = DatasetData(collapsed).store(), 1
    process._cluster()
    process._refill()
    refilled = process.ctx.pool.frames
    assert refilled.origin[0] == 'own-000000'
    assert not set(refilled.origin[1:]) & set(pool.origin)
    assert len(refilled) == len(pool)
    np.testing.assert_allclose(refilled[0].positions, given.get_ase().positions)
    np.testing.assert_allclose(refilled.volumes[0], given.get_cell_volume())


def test_a_restart_of_a_restart_keeps_the_labels_of_both(search, restarted_search):
    builder = SearchWorkChain.get_builder_restart(restarted_search)
    assert builder.restart.cycle.value == 2
    assert builder.restart.labels['cycle_00'].uuid == search.outputs.cycle_00.labels.uuid
    assert builder.restart.labels['cycle_01'].uuid == restarted_search.outputs.cycle_01.labels.uuid
    earlier = SearchWorkChain.get_builder_restart(restarted_search, 0)
    assert earlier.restart.pool.uuid == search.outputs.cycle_00.pool.uuid
    assert set(earlier.restart.labels) == {'cycle_00'}


def test_a_restart_asks_again_for_labels_of_which_none_was_of_use(make_builder, python_code):
    label = {'code': python_code, 'calculator': 'no_such_package.module:factory', 'arguments': {}}
    broken, mended = make_builder(label_options=label), make_builder()
    # With fewer crystals than it needs labels it ends after its first labels, which saves time.
    broken.pool.parameters = orm.Dict({**broken.pool.parameters.get_dict(), 'n_structures': 6})
    parameters = {'min_usable': 7, 'selection': {'n_initial': 7}}
    broken.parameters = orm.Dict(merge(broken.parameters.get_dict(), parameters))
    first = run_get_node(broken)[1]
    assert first.exit_status == SearchWorkChain.exit_codes.ERROR_LABEL_FAILED.status
    assert set(first.outputs.cycle_00.labels.frames.status) == {'failed'}
    builder = SearchWorkChain.get_builder_restart(first)
    assert dict(builder.restart.labels) == {}
    builder.label = mended.label
    second = run_get_node(builder)[1]
    labels = second.outputs.cycle_00.labels.frames
    assert set(labels.status) == {'ok'}
    assert len(labels) == len(first.outputs.cycle_00.labels)
    handed_on = SearchWorkChain.get_builder_restart(second).restart.labels
    assert {name: node.uuid for name, node in handed_on.items()} == {'cycle_00': second.outputs.cycle_00.labels.uuid}


def test_restart_from_a_cycle_that_was_never_reached(search):
    with pytest.raises(ValueError, match='no complete cycle 7'):
        SearchWorkChain.get_builder_restart(search, 7)


def test_progress_tells_the_stage_the_labels_and_the_errors(search):
    key, text = describe(search)
    assert key.startswith('final_')
    assert f'{count_all_labels(search)} of 150 labels' in text
    assert 'eV/atom, ensemble error' in text


def test_every_step_of_a_search_has_a_name_that_a_user_understands(search):
    told = {label: stage_in_words(label) for label in called(search.pk).values()}
    assert told['cycle_01_decide_stop'] == ('cycle 1', 'assessing')
    assert told['final_extract_00'] == ('final', 'storing the minima')
    assert {stage for _, stage in told.values()} <= set(STAGES.values())


def test_all_jobs_of_a_search_are_counted(search):
    jobs = {node.pk for node in search.called_descendants if isinstance(node, orm.CalcJobNode)}
    found = jobs_below([search.pk])
    assert {job.pk for job in found} == jobs
    assert {job.state for job in found} == {'finished'}


def test_a_network_gets_more_labels_unless_the_user_says_how_many(make_builder):
    def selection(**overrides):
        return make_builder(overrides=overrides).parameters['selection']

    pod, deepmd = selection(), selection(train={'force_field': 'deepmd'})
    assert deepmd['n_initial'] > pod['n_initial']
    assert deepmd['n_select'] > pod['n_select']
    told = selection(train={'force_field': 'deepmd'}, selection={'selection': {'n_initial': 5}})
    assert (told['n_initial'], told['n_select']) == (5, deepmd['n_select'])


def test_progress_of_a_restart_counts_the_labels_that_were_there(search, restarted_search):
    labels = describe(restarted_search)[1].split(' | ')[-1]
    assert labels.startswith(f'{count_all_labels(search)} of 100 labels')


def count_all_labels(search):
    return sum(count_labels(search.outputs[f'cycle_{cycle:02d}'].labels.frames) for cycle in (0, 1))


def test_where_only_new_crystals_are_missing_no_labels_are_made(make_builder, search):
    """So lax that the first cycle, which is that of the other search, is stable and confirmed, but for one crystal."""
    builder = make_builder()
    values = builder.parameters.get_dict()
    ended = int(np.sum(search.outputs.cycle_00.clusters.get_array('labels') >= 0))
    lax = {'n_clusters': 1, 'max_fall': 1e3, 'max_error': 1e3, 'tolerance': 1e3, 'n_explored': ended + 1}
    builder.parameters = orm.Dict({**values, 'convergence': {**values['convergence'], **lax}})
    builder.budget = orm.Dict({'max_cycles': 9})
    with enable_caching():
        search = run_get_node(builder)[1]
    first, second = search.outputs.cycle_00, search.outputs.cycle_01
    assert (first.assessment['converged'], first.assessment['needs_labels']) == (False, False)
    assert not {'candidates', 'labels', 'potentials'} & set(second)
    assert set(second.pool.frames.origin) - set(first.pool.frames.origin)
    assert second.assessment['stability']['explored'] > first.assessment['stability']['explored']
    assert search.outputs.stop['reason'] == 'converged'
    assert search.outputs.stop['spent']['labels'] == 6
    assert 'relaxed in them' in '\n'.join(summary_lines(summarise(search)))


def test_a_labelling_that_breaks_ends_the_search(labelled):
    """Once nothing came of it, the search goes on; twice, or if nothing is told of the frames, it does not."""
    fine = ['ok'] * 6
    assert labelled(fine, ['ok', 'failed']) is None
    assert labelled(fine, ['failed'] * 3) is None
    assert labelled(fine, ['failed'] * 3, fine) is None
    assert labelled(fine, ['failed'] * 3, ['failed'] * 3).status == 401
    assert labelled(fine, ['rejected'] * 3, ['rejected'] * 3) is None
    assert labelled(fine, []).status == 401
