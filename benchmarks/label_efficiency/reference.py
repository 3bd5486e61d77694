"""What the reference method is asked for, as ``CalculatorLabelWorkChain`` has it done by jobs."""

from __future__ import annotations

from typing import Any

from aiida_prospect.calculations.runners.evaluate import evaluate_in_chunks
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.evaluators.ensemble import Ensemble
from aiida_prospect.methods.labels import accepted, label, runs_of_parts, screen
from aiida_prospect.methods.prechecks import Prechecks
from aiida_prospect.methods.relaxation.driver import Relaxation
from aiida_prospect.methods.relaxation.settings import RelaxSettings


class Reference:
    """A surface that labels and relaxes.

    :param values: of the protocol ``label_calculator``.
    """

    def __init__(self, surface: Ensemble, values: dict[str, Any]) -> None:
        self.surface = surface
        self.prechecks = Prechecks.from_mapping(values['prechecks'])
        self.settings = RelaxSettings.from_dict(values['relax'])

    def label(self, candidates: Frames) -> Frames:
        """Return the labels of all candidates, each with its status."""
        screened = screen(candidates, self.prechecks)
        passed = accepted(screened)
        parts = [found for _, found in evaluate_in_chunks(passed, self.surface.evaluate)][-1:]
        return label(screened, runs_of_parts(parts))

    def relax(self, candidates: Frames) -> Frames:
        """Return all candidates relaxed, each with its status and, as ``steps``, the evaluations that it took."""
        screened = screen(candidates, self.prechecks)
        passed = accepted(screened)
        parts = [Relaxation(passed, self.surface, self.settings).run()] if len(passed) else []
        return label(screened, runs_of_parts(parts))
