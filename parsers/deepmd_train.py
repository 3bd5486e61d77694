"""Results of :class:`~aiida_prospect.calculations.deepmd_train.DeepmdTrainCalculation`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from aiida.engine import ExitCode
from aiida.orm import ArrayData, Dict

from aiida_prospect.calculations.runners import stages
from aiida_prospect.calculations.runners import train as runner
from aiida_prospect.methods.deepmd_input import CURVE_FILE
from aiida_prospect.methods.learning_curve import read_learning_curve, unlearned_share
from aiida_prospect.parsers.training import TrainParser

KEPT = ('errors', 'n_training', 'n_validation', 'backend', 'seconds', 'import_seconds', 'total_seconds')


class DeepmdTrainParser(TrainParser):
    """Make the potential, the learning curve and the errors, whatever of them there is."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Read what came back.

        What the scheduler found (wall time, memory) stays the exit code: a code returned here would hide it.
        """
        curve = self._read_curve()
        if curve:
            self.out('learning_curve', _array_data(curve))
        outcome = self.read_outcome()
        if isinstance(outcome, ExitCode):
            return None if self.node.exit_status else outcome
        model = Path(kwargs['retrieved_temporary_folder']) / stages.MODEL_FILE
        initial = model.with_name(runner.INITIAL_FILE)
        try:
            potential = self.make_potential(outcome, model, initial if initial.exists() else None, sel=outcome['sel'])
        except (OSError, ValueError) as exception:
            return self.exit_codes.ERROR_OUTPUT_UNREADABLE.format(name=stages.MODEL_FILE, message=exception)
        if not curve:
            return self.exit_codes.ERROR_OUTPUT_UNREADABLE.format(name=CURVE_FILE, message='no rows')
        share = unlearned_share(curve, outcome['typical_force'])
        self.out('potential', potential)
        self.out('results', Dict({**{key: outcome[key] for key in KEPT}, 'unlearned_share': share}))
        limit = (self.node.inputs.parameters.get_dict().get('progress') or {}).get('max_unlearned_share')
        if limit is not None and not share <= limit:
            return self.exit_codes.ERROR_LOSS_NOT_FALLING.format(share=share, limit=limit)
        return None

    def _read_curve(self) -> dict[str, np.ndarray]:
        try:
            curve = read_learning_curve(self.retrieved.base.repository.get_object_content(CURVE_FILE))
        except (FileNotFoundError, ValueError):
            # A job that was killed may have left half a row; what matters then is the exit code of the scheduler.
            return {}
        return curve if len(curve['step']) else {}


def _array_data(curve: Mapping[str, np.ndarray]) -> ArrayData:
    node = ArrayData()
    for name, values in curve.items():
        node.set_array(name, values)
    return node
