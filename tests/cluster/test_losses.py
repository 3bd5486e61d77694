"""Tests that what a cluster takes away is computed again."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from aiida.engine import CalcJob


@pytest.mark.timeout(600)
def test_a_job_whose_node_fails_is_submitted_again(on_cluster):
    script = Path(__file__).with_name('node_failure.py')
    told = json.loads(on_cluster(sys.executable, '-W', 'ignore', script).splitlines()[-1])
    assert told['jobs'] == [CalcJob.exit_codes.ERROR_SCHEDULER_NODE_FAILURE.status, 0]
    assert (told['exit_status'], told['status']) == (0, ['ok'])
    assert 'NODE_FAIL' in told['machines'][0]
