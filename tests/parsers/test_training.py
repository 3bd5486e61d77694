"""Tests of what the parsers of all trainings have in common."""

import pytest

from aiida_prospect.calculations.runners.stages import digest_of
from aiida_prospect.parsers.training import TrainParser


def test_a_model_that_was_cut_short_is_refused(tmp_path):
    model = tmp_path / 'model'
    model.write_bytes(b'all of it')
    outcome = {'digest': digest_of(model)}
    model.write_bytes(b'all')
    with pytest.raises(ValueError, match='cut short'):
        TrainParser.make_potential(None, outcome, model)
