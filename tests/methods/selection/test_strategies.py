"""Laws that hold for every registered strategy, and what is special to each."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.calibration import Calibration
from aiida_prospect.methods.clusters import cluster
from aiida_prospect.methods.fingerprints import TOLERANCE, fingerprints
from aiida_prospect.methods.selection import laqa, prospect, uncertainty
from aiida_prospect.methods.selection.base import (
    SelectionRequest,
    displace,
    load_strategy,
    spread_out,
    strategy_names,
)
from aiida_prospect.methods.selection.candidates import check_strategy, choose
from aiida_prospect.workflows.protocols import load_protocol

STRATEGIES = strategy_names()
N_ATOMS = 8


@pytest.fixture(scope='module')
def pool():
    """Return sixty random crystals as if relaxed: two unphysical, six uncertain, one a copy of the lowest."""
    rng = np.random.default_rng(3)
    n_frames = 60
    cells = np.eye(3) * 5.4 + rng.uniform(-0.6, 0.6, (n_frames, 3, 3))
    grid = np.stack(np.meshgrid([0, 0.5], [0, 0.5], [0, 0.5]), axis=-1).reshape(-1, 3)
    scaled = grid + rng.uniform(-0.15, 0.15, (n_frames, N_ATOMS, 3))
    energy = N_ATOMS * (-5 + rng.gamma(2, 0.1, n_frames))
    lowest = int(np.argmin(energy))
    cells[59], scaled[59], energy[59] = cells[lowest], scaled[lowest], energy[lowest] + 1e-4
    status = np.array(['converged'] * n_frames, dtype='U20')
    status[20:26], status[30:32] = 'uncertain', 'unphysical'
    energy[30] = -1000
    return Frames(
        numbers=np.full(n_frames * N_ATOMS, 14),
        offsets=np.arange(n_frames + 1) * N_ATOMS,
        positions=(scaled @ cells).reshape(-1, 3),
        cells=cells,
        energy=energy,
        forces=rng.normal(0, 0.02, (n_frames * N_ATOMS, 3)),
        energy_spread=N_ATOMS * rng.uniform(0.005, 0.05, n_frames),
        forces_spread=rng.uniform(0.01, 0.3, n_frames * N_ATOMS),
        status=status,
        origin=[f'p1-{i:03d}' for i in range(n_frames)],
    )


@pytest.fixture(scope='module')
def request_of(pool):
    """Return a factory of requests for the relaxed pool (cycle 1) or the unrelaxed one (cycle 0)."""
    points = fingerprints(pool)

    def factory(cycle=1, n_select=10, seed=0, labelled=None, **changes) -> SelectionRequest:
        frames = pool if cycle else Frames(pool.numbers, pool.offsets, pool.positions, pool.cells)
        request = SelectionRequest(
            frames, points, cluster(frames, points), n_select, np.random.default_rng(seed), cycle=cycle, **changes
        )
        if labelled is not None:
            request = replace(request, labelled=labelled, labelled_fingerprints=fingerprints(labelled, ['Si']))
        return request

    return factory


def indices(choices):
    return [choice.index for choice in choices]


@pytest.mark.parametrize('cycle', [0, 1, 5])
@pytest.mark.parametrize('name', STRATEGIES)
class TestLaws:
    def test_choices_are_distinct_and_of_use(self, name, cycle, request_of, pool):
        choices = load_strategy(name)(request_of(cycle))
        assert len(set(indices(choices))) == len(choices) == 10
        assert all(type(choice.index) is int and choice.reason for choice in choices)
        if cycle:
            assert 'unphysical' not in pool.status[indices(choices)]

    def test_same_seed_same_choice(self, name, cycle, request_of):
        select = load_strategy(name)
        assert select(request_of(cycle, seed=4)) == select(request_of(cycle, seed=4))

    def test_short_list_is_a_short_list(self, name, cycle, request_of, pool):
        choices = load_strategy(name)(request_of(cycle, n_select=1000))
        assert 0 < len(choices) <= len(pool)
        assert len(set(indices(choices))) == len(choices)

    def test_nothing_left(self, name, cycle, request_of, pool):
        request = request_of(cycle, labelled=pool.replace(status=['ok'] * len(pool)))
        assert load_strategy(name)(request) == []
        assert len(choose(load_strategy(name), request)) == 0

    def test_options_are_refused_without_a_pool(self, name, cycle):
        options = load_protocol('selection', 'balanced')['selection']['options'][name]
        check_strategy(name, options)
        with pytest.raises(ValueError, match='unknown options'):
            check_strategy(name, {**options, 'kapa': 1})

    def test_labelled_frames_are_not_chosen_again(self, name, cycle, request_of, pool):
        labelled = pool.select(range(0, 58, 2))
        labelled = labelled.replace(status=['ok'] * len(labelled))
        request = request_of(cycle, n_select=50, labelled=labelled)
        chosen = indices(load_strategy(name)(request))
        assert chosen
        assert not set(chosen) & set(range(0, 58, 2))
        assert request.nearest_label[0][chosen].min() >= TOLERANCE

    def test_failures_are_not_tried_again(self, name, cycle, request_of, pool):
        failed = pool.select(range(1, 60, 2)).without('energy').replace(status=['unconverged'] * 30)
        chosen = indices(load_strategy(name)(request_of(cycle, n_select=50, labelled=failed)))
        assert chosen
        assert not set(chosen) & set(range(1, 60, 2))

    def test_unknown_option_is_refused(self, name, cycle, request_of):
        with pytest.raises(ValueError, match="unknown options \\['kapa'\\]"):
            load_strategy(name)(request_of(cycle, options={'kapa': 1}))

    def test_options_of_the_protocol_are_the_defaults(self, name, cycle, request_of):
        options = load_protocol('selection', 'balanced')['selection']['options'][name]
        select = load_strategy(name)
        assert select(request_of(cycle, options=options)) == select(request_of(cycle))


@pytest.mark.parametrize('name', STRATEGIES)
def test_where_the_ensemble_takes_all_for_unphysical_labels_are_asked_for_all_the_same(name, request_of, pool):
    lost = pool.replace(status=['unphysical'] * len(pool))
    request = replace(request_of(), pool=lost, clusters=cluster(lost, fingerprints(pool)))
    assert len(request.clusters) == 0
    chosen = indices(load_strategy(name)(request))
    assert len(set(chosen)) == len(chosen) == 10


def test_unknown_strategy():
    with pytest.raises(ValueError, match='registered are: laqa, prospect, random, uncertainty'):
        load_strategy('greedy')


@pytest.mark.parametrize('name', ['laqa', 'prospect', 'uncertainty'])
def test_disputed_label_is_asked_for_again(name, request_of, pool):
    """If ensemble and label disagree about a structure, one of the two is wrong there."""
    labelled = pool.replace(status=['ok'] * len(pool))
    labelled = labelled.replace(energy=pool.energy + np.where(np.arange(len(pool)) == 7, 5.0, 0.0))
    choices = load_strategy(name)(request_of(1, labelled=labelled))
    assert indices(choices) == [7]
    assert choices[0].displacement > 0 or name == 'uncertainty'


def test_spread_out_covers_the_pool(request_of):
    """Every seed leaves the frames nearer to a chosen one than points at random do."""

    def distance(chosen):
        points = request_of(0).fingerprints
        return np.linalg.norm(points[:, None] - points[None, chosen], axis=2).min(axis=1).mean()

    for seed in range(5):
        request = request_of(0, n_select=15, seed=seed)
        at_random = distance(indices(load_strategy('random')(request)))
        assert distance(indices(spread_out(request))) < at_random


def test_spread_out_stays_away_from_labels(request_of, pool):
    labelled = pool.select(range(0, 60, 2))
    labelled = labelled.replace(status=['ok'] * len(labelled))
    near = request_of(0, n_select=10, labelled=labelled).nearest_label[0]
    chosen = indices(spread_out(request_of(0, n_select=10, labelled=labelled)))
    assert near[chosen].mean() > near[1::2].mean()


def test_spread_out_prefers_usual_volumes(request_of, pool):
    volumes = pool.volumes[indices(spread_out(request_of(0, n_select=20)))]
    low, high = np.quantile(pool.volumes, [0.1, 0.9])
    assert low <= volumes.min()
    assert volumes.max() <= high


def test_laqa_takes_the_lowest_score_of_each_cluster(request_of, pool):
    request = request_of(2)
    choices = laqa.select(request)
    score = request.height - 0.5 * pool.max_force
    usable = pool.status != 'unphysical'
    assert choices[0].index == np.flatnonzero(usable)[np.argmin(score[usable])]
    assert {choice.displacement for choice in choices} == {0.4 * 0.6**2}
    assert {choice.displacement for choice in laqa.select(request_of(0))} == {0.0}


def test_trust_window_follows_the_true_errors(request_of):
    """A spread that underestimates the error tenfold moves the window tenfold down."""
    settings = uncertainty.UncertaintySettings()
    windows = [
        uncertainty.trust_window(
            request_of(1, calibration=Calibration(error_per_force_spread=slope)), settings, np.array([1.0])
        )
        for slope in (0.05, 0.5)
    ]
    assert np.allclose(windows[0], np.multiply(10, windows[1]))
    assert uncertainty.trust_window(request_of(1), settings, np.array([0.1, 0.2])) == (0.05, 0.35)
    assert uncertainty.trust_window(request_of(1), settings, np.array([1.0, 2.0])) == (0.05, 1.5)


def test_uncertainty_stays_in_the_window(request_of):
    request = request_of(1, n_select=60, options={'lower': 0.2, 'upper': 0.28})
    deviation = request.force_deviation[indices(uncertainty.select(request))]
    assert len(deviation)
    assert deviation.min() >= 0.2
    assert deviation.max() <= max(0.28, np.median(request.force_deviation))


def test_prospect_confirms_the_lowest_minima_as_they_are(request_of):
    request = request_of(1, n_select=20)
    choices = prospect.select(request)
    confirming = [choice for choice in choices if choice.displacement == 0]
    assert set(request.clusters.representatives[:10]) <= set(indices(confirming))


def test_prospect_settles_uncertain_frames(request_of, pool):
    choices = prospect.select(request_of(1, n_select=20))
    uncertain = [choice.index for choice in choices if pool.status[choice.index] == 'uncertain']
    assert len(uncertain) == 4
    lowest = min(np.flatnonzero(pool.status == 'uncertain'), key=lambda i: pool.energy[i])
    assert lowest in uncertain


def test_prospect_displaces_a_share_of_the_rest(request_of):
    choices = prospect.select(request_of(1, n_select=20, options={'rattled_share': 1.0}))
    assert sum(choice.displacement > 0 for choice in choices) == 6
    choices = prospect.select(request_of(1, n_select=20, options={'rattled_share': 0.0}))
    assert all(choice.displacement == 0 for choice in choices)


@pytest.mark.parametrize('n_select', [1, 2, 3, 6])
def test_prospect_makes_the_best_of_few_labels(request_of, n_select):
    """The first goes to a low minimum; of six, one settles an uncertain frame and one is displaced."""
    request = request_of(1, n_select=n_select)
    choices = prospect.select(request)
    assert len(choices) == n_select
    assert choices[0].index in request.clusters.representatives[:10]
    if n_select == 6:
        assert sum(request.pool.status[choice.index] == 'uncertain' for choice in choices) == 1
        assert sum(choice.displacement > 0 for choice in choices) == 1


def test_prospect_spends_no_two_labels_on_one_basin(request_of, pool):
    request = request_of(1, n_select=60)
    points = request.fingerprints[indices(prospect.select(request))]
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    assert distance[np.triu_indices(len(points), 1)].min() >= TOLERANCE


def test_prospect_takes_of_equal_energies_what_is_least_like_all_before(request_of, pool):
    """Like labels, and like what was chosen in the same cycle."""
    flat = pool.replace(energy=np.full(60, -40.0), energy_spread=np.zeros(60), status=['converged'] * 60)
    options = {'confirm_share': 0.0, 'uncertain_share': 0.0, 'length_scale': 1.0}
    request = request_of(1, n_select=6, labelled=flat.select([3]).replace(status=['ok']), options=options)
    request = replace(request, pool=flat, clusters=cluster(flat, request.fingerprints))
    chosen, before = indices(prospect.select(request)), [3]
    assert len(chosen) == 6
    for index in chosen:
        distance = np.linalg.norm(request.fingerprints[:, None] - request.fingerprints[None, before], axis=2)
        assert index == np.argmax(distance.min(axis=1))
        before.append(index)


def test_prospect_prefers_the_lower_bound_among_what_is_equally_new(request_of, pool):
    options = {'confirm_share': 0.0, 'uncertain_share': 0.0, 'energy_scale': 0.0}
    request = request_of(1, n_select=6, options=options)
    bound = prospect.lower_confidence_bound(request, prospect.ProspectSettings())
    minima = request.clusters.representatives
    assert indices(prospect.select(request)) == minima[np.argsort(bound[minima], kind='stable')][:6].tolist()


def test_prospect_confirms_first_what_may_be_lowest(request_of):
    """Of the lowest minima, if there are not labels for all, those of the lowest bound."""
    request = request_of(1, n_select=5)
    bound = prospect.lower_confidence_bound(request, prospect.ProspectSettings())
    lowest = request.clusters.representatives[:10]
    ranked = lowest[np.argsort(bound[lowest], kind='stable')]
    assert ranked[:3].tolist() != lowest[:3].tolist()
    assert indices(prospect.select(request))[:3] == ranked[:3].tolist()


@pytest.mark.parametrize('rank', [0, 20])
def test_prospect_never_asks_for_the_very_same_label_again(request_of, pool, rank):
    """Whether it is to be confirmed or not: what has a label that disagrees is displaced."""
    request = request_of(1, options={'rattled_share': 0.0})
    index = int(request.clusters.representatives[rank])
    assert all(choice.displacement == 0 for choice in prospect.select(request))
    energy = pool.energy + np.where(np.arange(len(pool)) == index, 5.0, 0.0)
    labelled = pool.replace(status=['ok'] * len(pool), energy=energy)
    (choice,) = prospect.select(request_of(1, options={'rattled_share': 0.0}, labelled=labelled))
    assert (choice.index, choice.displacement) == (index, 0.15)


@pytest.mark.parametrize(('cycle', 'width'), [(0, 0.1), (1, 0.15), (2, 0.12), (3, 0.096)])
def test_prospect_displaces_less_from_cycle_to_cycle(request_of, cycle, width):
    widths = {choice.displacement for choice in prospect.select(request_of(cycle, n_select=20))}
    assert sorted(widths) == pytest.approx([0.0, width])


def test_confidence_bound(request_of, pool):
    """The bound goes down with κ, by no more than is allowed, and with the calibrated ratio."""
    settings = prospect.ProspectSettings(kappa=1.0, default_ratio=1.0, max_bonus=0.1)
    request = request_of(1)
    bonus = request.height - prospect.lower_confidence_bound(request, settings)
    assert np.allclose(bonus, pool.energy_spread / N_ATOMS)
    wide = request_of(1, calibration=Calibration(ratio=3.0))
    bonus = request.height - prospect.lower_confidence_bound(wide, settings)
    assert np.allclose(bonus, np.minimum(3 * pool.energy_spread / N_ATOMS, 0.1))


def test_candidates_keep_what_was_predicted(request_of, pool):
    """Unless they were displaced after the prediction."""
    chosen = choose(prospect.select, request_of(1, n_select=20))
    assert np.array_equal(chosen.origin, pool.origin[chosen.source])
    assert chosen.energy is None
    assert chosen.status is None
    moved = np.array(['displaced' in reason for reason in chosen.reason])
    assert moved.any()
    assert np.array_equal(chosen.energy_initial[~moved], pool.energy[chosen.source[~moved]])
    assert np.isnan(chosen.energy_initial[moved]).all()
    assert np.isnan(chosen.energy_spread[moved]).all()
    same = [np.array_equal(chosen[i].positions, pool[int(s)].positions) for i, s in enumerate(chosen.source)]
    assert np.array_equal(same, ~moved)


def test_strategy_that_breaks_the_contract_is_found_out(request_of):
    with pytest.raises(ValueError, match='1 of them distinct'):
        choose(lambda request: laqa.select(request)[:1] * 2, request_of(1))


def test_displacements_have_the_width_asked_for(pool):
    rng = np.random.default_rng(0)
    moved = displace(pool, 0.3, rng)
    assert np.std(moved.positions - pool.positions) == pytest.approx(0.3, rel=0.05)
    assert np.array_equal(displace(pool, 0.0, rng).positions, pool.positions)
    with pytest.raises(ValueError, match='negative'):
        displace(pool, -0.1, rng)


def test_the_only_atom_of_a_cell_is_displaced_from_its_images(silicon_phases):
    """Moved by itself it is the same crystal. Its images move by the width that was asked for, and the rest stays."""
    cells = [bulk('Si', 'fcc', a=3.87).cell.array, silicon_phases['simple hexagonal'].cell.array[[1, 0, 2]]] * 500
    alone = Frames.from_atoms([Atoms('Si', cell=cell, positions=[[1, 2, 0.5]], pbc=True) for cell in cells])
    pair = Frames.from_atoms([silicon_phases['diamond']])
    frames = Frames.concatenate([alone, pair])
    moved = displace(frames.replace(energy=np.ones(len(frames))), 0.1, np.random.default_rng(0))
    strain = np.linalg.solve(frames.cells, moved.cells)[:-1] - np.eye(3)
    assert np.allclose(strain, strain.transpose(0, 2, 1))
    stretch = np.diagonal(strain, axis1=1, axis2=2) * np.cbrt(frames.volumes[:-1, None])
    assert np.std(stretch) == pytest.approx(0.1, rel=0.05)
    assert np.mean(stretch) == pytest.approx(0, abs=0.01)
    assert np.linalg.norm(fingerprints(moved[0], ['Si']) - fingerprints(frames[0], ['Si'])) > TOLERANCE
    assert np.isnan(moved.energy).all()
    assert np.array_equal(moved.cells[-1], frames.cells[-1])
    assert displace(alone, 0.0, np.random.default_rng(0)).equals(alone)


def test_bad_requests(request_of):
    with pytest.raises(ValueError, match='at least 1'):
        request_of(1, n_select=0)
    with pytest.raises(ValueError, match='0 `labelled_fingerprints` for 60 frames'):
        replace(request_of(1), labelled=request_of(1).pool)
