"""What the runners of all trainings have in common: the files of a job, and how what went wrong is told."""

from __future__ import annotations

import hashlib
import json
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from aiida_prospect.common.frames import Frames

JOB_FILE = 'job.json'
TRAINING_FILE = 'training.npz'
VALIDATION_FILE = 'validation.npz'
RESULTS_FILE = 'results.json'
MODEL_FILE = 'model'
MAX_TESTED_TRAINING_FRAMES = 100


class StageError(Exception):
    """A stage of a training that failed.

    :param stage: its name.
    :param reason: ``nan``, ``invalid``, ``backend``, ``killed`` or ``failed``.
    """

    def __init__(self, stage: str, reason: str, message: str) -> None:
        super().__init__(message)
        self.stage, self.reason = stage, reason


def run(work: Callable[[dict[str, Any]], None]) -> None:
    """Do the work, and write its outcome to the file of results, also if a stage fails.

    :param work: fills in the outcome as it goes.
    """
    start = time.monotonic()
    outcome: dict[str, Any] = {'failure': None}
    try:
        work(outcome)
        outcome['digest'] = digest_of(Path(MODEL_FILE))
    except StageError as error:
        outcome['failure'] = {'stage': error.stage, 'reason': error.reason, 'message': str(error)}
    except Exception as error:
        # Without results the parser would take it for a kill, after which a training is continued.
        traceback.print_exc()
        outcome['failure'] = {'stage': 'runner', 'reason': 'failed', 'message': f'{type(error).__name__}: {error}'}
    outcome['total_seconds'] = round(time.monotonic() - start, 2)
    temporary = Path(f'{RESULTS_FILE}.part')
    temporary.write_text(json.dumps(outcome, indent=2))
    temporary.replace(RESULTS_FILE)


def digest_of(model: Path) -> str:
    """Return what tells whether a model has come back as it was written."""
    return hashlib.sha256(model.read_bytes()).hexdigest()


def sample_of(training: Frames) -> Frames:
    """Return some of the training frames, evenly spread, for a test of the force field."""
    spread = np.linspace(0, len(training) - 1, min(len(training), MAX_TESTED_TRAINING_FRAMES)).round().astype(int)
    return training.select(np.unique(spread))
