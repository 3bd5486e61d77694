"""What the results of all trainings have in common."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiida.engine import ExitCode

from aiida_prospect.calculations.runners import stages
from aiida_prospect.data.potential import PotentialData
from aiida_prospect.parsers.base import RunnerParser

FAILURES = {
    'nan': 'ERROR_TRAINING_NAN',
    'invalid': 'ERROR_INVALID_DATA',
    'backend': 'ERROR_BACKEND_NOT_FOUND',
    'failed': 'ERROR_STAGE_FAILED',
    'killed': 'ERROR_STAGE_FAILED',
}
# The first of these that a training has is what the errors of a potential are measured on.
TESTED_ON = ('validation', 'cross_validation', 'training')


class TrainParser(RunnerParser):
    """Reads the outcome of a training and makes the potential."""

    def read_outcome(self) -> dict[str, Any] | ExitCode:
        """Return what the runner told, or the exit code that belongs to it."""
        try:
            outcome = dict(json.loads(self.retrieved.base.repository.get_object_content(stages.RESULTS_FILE)))
        except FileNotFoundError:
            return self.exit_codes.ERROR_INTERRUPTED.format(cause=self.last_words())
        except ValueError as exception:
            return self.exit_codes.ERROR_OUTPUT_UNREADABLE.format(name=stages.RESULTS_FILE, message=exception)
        if outcome['failure']:
            failure = outcome['failure']
            return getattr(self.exit_codes, FAILURES[failure['reason']]).format(**failure)
        return outcome

    def make_potential(
        self, outcome: Mapping[str, Any], model: Path, initial: Path | None = None, **metadata: Any
    ) -> PotentialData:
        """Make the node.

        :raises OSError: if there is no file.
        :raises ValueError: if an error is not a finite number, or the file is not what the training wrote.
        """
        if stages.digest_of(model) != outcome['digest']:
            raise ValueError('it is not the file that the training wrote; was it cut short?')
        tested_on = next(name for name in TESTED_ON if name in outcome['errors'])
        return PotentialData.from_files(
            model,
            backend=outcome['backend'],
            type_map=outcome['type_map'],
            cutoff=outcome['cutoff'],
            initial=initial,
            metadata={
                'architecture': outcome['architecture'],
                'errors': outcome['errors'][tested_on],
                'tested_on': tested_on,
                'n_training': outcome['n_training'],
                **metadata,
            },
        )
