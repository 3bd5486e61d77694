"""Tests of the relaxation of a pool in several jobs."""

import numpy as np
import pytest
from aiida import orm
from aiida.common import LinkType
from aiida.engine import ExitCode, run_get_node
from aiida.plugins import CalculationFactory
from aiida.schedulers import JobInfo

from aiida_prospect.calculations.relax import split_parameters
from aiida_prospect.common.frames import Frames
from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.data.potential import PotentialData
from aiida_prospect.methods.evaluators.loading import load_ensemble
from aiida_prospect.methods.relaxation.driver import Relaxation
from aiida_prospect.methods.relaxation.settings import RelaxSettings
from aiida_prospect.methods.relaxation.slices import count_slices, merge_slices
from aiida_prospect.workflows.explore import ExploreWorkChain
from aiida_prospect.workflows.protocols import ProtocolError, load_protocol
from aiida_prospect.workflows.relax import RelaxWorkChain

EXIT_CODES = CalculationFactory('prospect.relax').exit_codes
STILLINGER_WEBER = {'potential': 'Si_Stillinger_Weber'}


@pytest.fixture
def potentials(aiida_profile):
    return {'potential_00': PotentialData.from_calculator('lammps', STILLINGER_WEBER, elements=['Si'])}


def relax_here(frames):
    ensemble = load_ensemble([{'backend': 'ase', 'calculator': 'lammps', 'arguments': STILLINGER_WEBER}], None)
    settings, _ = split_parameters(load_protocol('explore', 'fast')['parameters'])
    return Relaxation(frames, ensemble, RelaxSettings.from_dict(settings)).run()


def builder(pool, potentials, code, **overrides):
    return ExploreWorkChain.get_builder_from_protocol(
        DatasetData(pool), potentials, code, protocol='fast', overrides=overrides
    )


def test_pool_comes_back_relaxed_and_in_order(python_code, potentials, silicon_frames, generate_frames):
    pool = Frames.concatenate([silicon_frames(2), generate_frames('Si4', 2), silicon_frames(3, n_atoms=2)])
    outputs, node = run_get_node(
        builder(
            pool,
            potentials,
            python_code,
            slice_size=3,
            max_concurrent=2,
            parameters={'trajectory': {'every': 5, 'statuses': ['converged']}},
        )
    )
    assert node.is_finished_ok, node.exit_message
    relaxed, expected = outputs['pool'].frames, relax_here(pool)
    assert relaxed.equals(expected)
    assert relaxed.known('origin').tolist() == pool.known('origin').tolist()
    report = outputs['report'].get_dict()
    assert sum(report['by_status'].values()) == report['frames'] == 7
    assert report['jobs'] == 3
    assert report['core_seconds'] > 0
    assert report['lowest_energy_per_atom'] == pytest.approx(expected.energy_per_atom.min())
    converged = np.flatnonzero(relaxed.known('status') == 'converged')
    assert set(outputs['trajectories'].frames.known('source')) == set(converged)
    labels = [link.link_label for link in node.base.links.get_outgoing().all()]
    assert {'slice_000', 'slice_001', 'slice_002', 'merge'} <= set(labels)


def test_jobs_out_of_time_are_continued(python_code, potentials, generate_frames):
    pool = generate_frames('Si8', 12)
    inputs = builder(pool, potentials, python_code, max_concurrent=1, options={'max_wallclock_seconds': 6})
    inputs.parameters = orm.Dict({**inputs.parameters.get_dict(), 'batch_atoms': 16})
    outputs, node = run_get_node(inputs)
    assert node.is_finished_ok, node.exit_message
    assert outputs['pool'].frames.equals(relax_here(pool))
    assert outputs['report']['jobs'] >= 1


def test_slice_that_fails_keeps_its_frames(python_code, silicon_frames, aiida_profile):
    broken = PotentialData.from_calculator('lammps', {'potential': 'Si_Stillinger_Weber', 'typo': 1}, elements=['Si'])
    pool = silicon_frames(3)
    _, node = run_get_node(builder(pool, {'potential_00': broken}, python_code, max_concurrent=1))
    assert node.exit_status == ExploreWorkChain.exit_codes.ERROR_ALL_SLICES_FAILED.status
    assert 'slice 0' in node.exit_message
    assert 'typo' in node.exit_message


def test_relaxation_that_cannot_be_finished_gives_what_there_is(python_code, potentials, generate_frames):
    pool = generate_frames('Si8', 12)
    inputs = {
        'relax': {
            'code': python_code,
            'frames': DatasetData(pool),
            'potentials': potentials,
            'parameters': {'batch_atoms': 8, 'fmax': 1e-6},
            'metadata': {'options': {'max_wallclock_seconds': 1}},
        },
        'max_iterations': orm.Int(2),
    }
    outputs, node = run_get_node(RelaxWorkChain, **inputs)
    assert node.exit_status == RelaxWorkChain.exit_codes.ERROR_MAXIMUM_ITERATIONS_EXCEEDED.status
    assert 'unfinished' in outputs['relaxed'].frames.known('status')
    assert len(outputs['relaxed'].frames) == 12
    first, second = node.called_descendants
    assert second.inputs.parent_folder.uuid == first.outputs.remote_folder.uuid


@pytest.fixture
def begin(python_code, potentials, generate_frames, set_up):
    """Return a function that begins a relaxation of ten crystals with 4 to 8 atoms, 60 in all, in jobs of an hour."""

    def act(**options):
        pool = Frames.concatenate([generate_frames('Si8', 5), generate_frames('Si4', 5)])
        asked = {'max_wallclock_seconds': 3600, 'resources': {'num_machines': 1}, **options}
        inputs = RelaxWorkChain.get_builder()
        inputs.relax = {'code': python_code, 'frames': DatasetData(pool), 'potentials': potentials}
        inputs.relax.metadata = {'options': asked}
        inputs.escalation = {'max_memory_kb': 3000}
        return set_up(inputs)

    return act


@pytest.fixture
def relaxation(begin):
    """Return a relaxation that has just begun, in jobs of an hour and 1000 kB."""
    return begin(max_memory_kb=1000)


def options_of(process):
    options = process.ctx.inputs.metadata['options']
    return options['max_wallclock_seconds'], options.get('max_memory_kb')


@pytest.mark.parametrize(
    ('given', 'memories', 'sentence'),
    [
        ({'max_memory_kb': 1000}, [2000, 3000, 3000, 3000], '3000 kB of memory were not enough'),
        ({}, [None] * 4, 'set `options.max_memory_kb`'),
    ],
    ids=['limited', 'unknown'],
)
def test_a_relaxation_that_lacks_memory_gets_more_and_smaller_batches_down_to_one_crystal(
    begin, ended, inspect, given, memories, sentence
):
    relaxation, node = begin(**given), ended(EXIT_CODES.ERROR_SCHEDULER_OUT_OF_MEMORY, 'prospect.relax')
    for memory, batch in zip(memories, (30, 15, 8, 8), strict=True):
        assert inspect(relaxation, node).status == 0
        assert options_of(relaxation) == (3600, memory)
        assert relaxation.ctx.inputs.parameters['batch_atoms'] == batch
    final = inspect(relaxation, node)
    assert final.status == RelaxWorkChain.exit_codes.ERROR_NO_PROGRESS.status
    assert sentence in final.message


def test_a_relaxation_that_lacked_time_gets_more(relaxation, ended, inspect):
    assert inspect(relaxation, ended(EXIT_CODES.ERROR_SCHEDULER_OUT_OF_WALLTIME, 'prospect.relax')).status == 0
    assert options_of(relaxation) == (7200, 1000)


def test_a_relaxation_that_the_machine_loses_is_repeated_some_times(relaxation, ended, inspect):
    node = ended(EXIT_CODES.ERROR_SCHEDULER_NODE_FAILURE, 'prospect.relax')
    assert [inspect(relaxation, node).status for _ in range(4)] == [0, 0, 0, 404]
    assert options_of(relaxation) == (3600, 1000)


def test_a_relaxation_whose_results_are_broken_is_done_again(relaxation, ended, inspect):
    node = ended(EXIT_CODES.ERROR_INVALID_RESULT, 'prospect.relax')
    assert inspect(relaxation, node).status == 0
    assert inspect(relaxation, node).status == RelaxWorkChain.exit_codes.ERROR_NO_PROGRESS.status


@pytest.fixture
def slice_of(ended):
    """Return a function that makes a slice whose last job relaxed the frames; jobs before it were killed at once."""

    def make(pool, n_killed=0):
        chain = orm.WorkChainNode()
        chain.set_process_state('finished')
        chain.set_exit_status(0)
        chain.store()
        killed = [
            ended(EXIT_CODES.ERROR_SCHEDULER_OUT_OF_MEMORY, 'prospect.relax', caller=chain) for _ in range(n_killed)
        ]
        job = ended(ExitCode(0), 'prospect.relax', caller=chain)
        relaxed = DatasetData(pool.replace(energy=[-1.0], status=['converged'], reason=[''], steps=[3]))
        for name, output in {'relaxed': relaxed, 'statistics': orm.Dict({'core_seconds': 7.0})}.items():
            output.base.links.add_incoming(job, LinkType.CREATE, name)
            output.store()
        relaxed.base.links.add_incoming(chain, LinkType.RETURN, 'relaxed')
        return chain, killed, job

    return make


@pytest.fixture
def report_on(python_code, potentials, set_up):
    """Return a function that returns what is reported of a pool that was relaxed in one slice."""

    def report(pool, chain):
        process = set_up(builder(pool, potentials, python_code, max_concurrent=1))
        process.ctx.first, process.ctx.running = 0, [chain]
        process.inspect_slices()
        assert process.results() is None
        return process.outputs['report']

    return report


@pytest.mark.parametrize(('is_cached', 'seconds'), [(False, 7.0), (True, 0.0)])
def test_what_comes_from_the_cache_costs_nothing(silicon_frames, slice_of, report_on, is_cached, seconds):
    pool = silicon_frames(1)
    chain, _, job = slice_of(pool)
    if is_cached:
        job.base.extras.set(job.base.caching.CACHED_FROM_KEY, job.uuid)
    assert report_on(pool, chain)['core_seconds'] == seconds


def test_jobs_that_were_killed_before_they_could_tell_cost_what_the_scheduler_tells(
    silicon_frames, slice_of, report_on
):
    pool = silicon_frames(1)
    chain, (in_queue, in_accounts, _), _ = slice_of(pool, n_killed=3)
    for job in (in_queue, in_accounts):
        job.set_last_job_info(JobInfo({'job_id': '1', 'wallclock_time_seconds': 30}))
    accounts = 'JobID|ElapsedRaw|State|\n1|45|OUT_OF_MEMORY|\n1.batch|44|OUT_OF_MEMORY|\n'
    in_accounts.set_detailed_job_info({'retval': 0, 'stderr': '', 'stdout': accounts})
    report = report_on(pool, chain)
    assert report['core_seconds'] == 7 + 30 + 45
    assert report['jobs'] == 4


def test_merging_marks_what_is_missing(silicon_frames):
    pool = silicon_frames(5)
    pool = pool.replace(energy=np.arange(5.0))
    n_slices = count_slices(5, slice_size=2, max_concurrent=1)
    assert n_slices == 3
    parts = {
        0: pool.select([0, 3]).replace(status=['converged'] * 2),
        2: pool.select([2]).replace(status=['uncertain']),
    }
    merged = merge_slices(pool, n_slices, parts)
    assert merged.known('status').tolist() == ['converged', 'unfinished', 'uncertain', 'converged', 'unfinished']
    assert np.array_equal(merged.positions, pool.positions)
    assert np.isnan(merged.known('energy')).tolist() == [False, True, False, False, True]
    assert 'no results' in merged.known('reason')[1]
    with pytest.raises(ValueError, match='slice 1 of 3 has other frames'):
        merge_slices(pool, n_slices, {1: pool.select([1])})


@pytest.mark.parametrize(
    ('size', 'slice_size', 'concurrent', 'expected'), [(1, 1000, 4, 1), (3000, 1000, 2, 3), (50, 1000, 2, 2)]
)
def test_slices_are_small_and_keep_all_jobs_busy(size, slice_size, concurrent, expected):
    assert count_slices(size, slice_size, concurrent) == expected


def test_bad_input_is_refused_before_submission(python_code, potentials, silicon_frames, generate_frames):
    with pytest.raises(ValueError, match='the pool is empty'):
        run_get_node(builder(Frames.empty(), potentials, python_code))
    with pytest.raises(ValueError, match='0 is not positive'):
        builder(silicon_frames(1), potentials, python_code, slice_size=0)
    with pytest.raises(ValueError, match='knows Si'):
        run_get_node(builder(generate_frames('NaCl', 1), potentials, python_code))
    with pytest.raises(ProtocolError, match=r'`parameters\.fmx` is unknown'):
        builder(silicon_frames(1), potentials, python_code, parameters={'fmx': 1})
