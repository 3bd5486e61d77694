"""Tests that SLURM tells `watch` which jobs were submitted."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(900)
def test_a_job_is_found_by_its_work_directory_while_it_runs_and_after_it_ended(on_cluster, cluster, tmp_path):
    script = Path(__file__).with_name('find_jobs.py')
    told = json.loads(on_cluster(sys.executable, '-W', 'ignore', script, tmp_path).splitlines()[-1])
    assert told['exit_status'] == 0
    assert told['identifier'] != told['namesake']
    found = told['told']
    assert found['running'] == found['ended'] == told['identifier']
    assert '`sacct` ended with status 1' in found['ended, accounts away']
