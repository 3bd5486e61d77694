"""Tests of what caching may take over."""

import pytest
from aiida.plugins import CalculationFactory

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
