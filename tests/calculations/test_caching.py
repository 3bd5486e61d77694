"""Tests of what caching may take over."""

import pytest
from aiida.common import LinkType
from aiida.orm import CalcJobNode, Dict
from aiida.plugins import CalculationFactory

from aiida_prospect.data.dataset import DatasetData
from aiida_prospect.data.potential import PotentialData

TRANSIENT = {
    'prospect.evaluate': ('ERROR_NO_RESULT', 'ERROR_INVALID_RESULT', 'ERROR_POTENTIALS_NOT_LOADED', 'ERROR_INCOMPLETE'),
    'prospect.relax': ('ERROR_NO_RESULT', 'ERROR_INVALID_RESULT', 'ERROR_NOT_STARTED', 'ERROR_UNFINISHED'),
    'prospect.deepmd_train': (
        'ERROR_BACKEND_NOT_FOUND',
        'ERROR_INTERRUPTED',
        'ERROR_STAGE_FAILED',
        'ERROR_OUTPUT_UNREADABLE',
    ),
}


@pytest.mark.parametrize(('entry_point', 'name'), [(key, name) for key, names in TRANSIENT.items() for name in names])
def test_accidents_are_not_cached(entry_point, name):
    """Only failures that follow from the inputs are taken from the cache; what may go well another time is repeated."""
    assert CalculationFactory(entry_point).exit_codes[name].invalidates_cache


@pytest.fixture
def is_taken(aiida_profile, potentials):
    """Return a function that tells whether a job that ended well with these outputs is taken from the cache."""

    def ask(entry_point, potential, **outputs):
        node = CalcJobNode(process_type=f'aiida.calculations:{entry_point}')
        node.base.links.add_incoming(potentials[potential], LinkType.INPUT_CALC, 'potentials__member')
        node.set_process_state('finished')
        node.set_exit_status(0)
        node.store()
        for name, output in outputs.items():
            output.base.links.add_incoming(node, LinkType.CREATE, name)
            output.store()
        return node.seal().base.caching.is_valid_cache

    return ask


@pytest.fixture
def potentials(aiida_profile, tmp_path):
    """Return a calculator, which may start programs, and a model, which gives the same every time."""
    (tmp_path / 'model.pb').write_bytes(b'weights')
    return {
        'calculator': PotentialData.from_calculator('ase.calculators.emt:EMT', {}, ['Si']).store(),
        'model': PotentialData.from_files(
            tmp_path / 'model.pb', backend='tensorflow', type_map=['Si'], cutoff=5.0
        ).store(),
    }


@pytest.mark.parametrize(
    ('statuses', 'potential', 'taken'),
    [
        (['ok', 'ok'], 'calculator', True),
        (['ok', 'failed'], 'calculator', False),
        (['unconverged', 'ok'], 'calculator', False),
        (['ok', 'failed'], 'model', True),
    ],
)
def test_frames_that_a_calculator_failed_at_are_evaluated_again(is_taken, silicon_frames, statuses, potential, taken):
    evaluated = DatasetData(silicon_frames(2).replace(status=statuses, reason=['', '']))
    assert is_taken('prospect.evaluate', potential, evaluated=evaluated) is taken


@pytest.mark.parametrize(
    ('failed', 'potential', 'taken'), [(0, 'calculator', True), (1, 'calculator', False), (1, 'model', True)]
)
def test_relaxations_in_which_a_calculator_failed_are_done_again(is_taken, failed, potential, taken):
    statistics = Dict({'evaluations': 9, 'failed_evaluations': failed})
    assert is_taken('prospect.relax', potential, statistics=statistics) is taken
