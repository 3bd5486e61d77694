"""Results of :class:`~aiida_prospect.calculations.pod_train.PodTrainCalculation`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiida.engine import ExitCode
from aiida.orm import Dict

from aiida_prospect.calculations.runners import stages
from aiida_prospect.parsers.training import TrainParser

KEPT = (
    *('errors', 'n_training', 'n_validation', 'n_left_out', 'backend', 'n_coefficients', 'regularisation', 'seconds'),
    'total_seconds',
)


class PodTrainParser(TrainParser):
    """Make the potential and the errors."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Read what came back.

        What the scheduler found (wall time, memory) stays the exit code: a code returned here would hide it.
        """
        outcome = self.read_outcome()
        if isinstance(outcome, ExitCode):
            return None if self.node.exit_status else outcome
        model = Path(kwargs['retrieved_temporary_folder']) / stages.MODEL_FILE
        try:
            potential = self.make_potential(outcome, model)
        except (OSError, ValueError) as exception:
            return self.exit_codes.ERROR_OUTPUT_UNREADABLE.format(name=stages.MODEL_FILE, message=exception)
        self.out('potential', potential)
        self.out('results', Dict({key: outcome[key] for key in KEPT}))
        return None
