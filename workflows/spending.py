"""How a search keeps to its budget."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.engine import Process
from aiida.plugins import CalculationFactory

from aiida_prospect.methods import budget as methods

decide_stop = CalculationFactory('prospect.decide_stop')


class SpendingProcess(Process):
    """Counts what its stages cost, and begins none that would cost more than is left.

    A stage that has begun is not broken off, so it is by one stage at most that a budget is exceeded. ``ctx.stop`` is
    the decision to end, with its reason, as soon as there is one.
    """

    @property
    def spent(self) -> dict[str, float]:
        """What was spent of a budget: ``labels``, ``cycles`` and ``core_hours``."""
        raise NotImplementedError

    def begin_to_spend(self) -> None:
        """Begin to count."""
        self.ctx.stop = None
        # Stage, core seconds, amount.
        self.ctx.costs = []

    @property
    def core_hours(self) -> float:
        """All that was spent."""
        return float(sum(seconds for _, seconds, _ in self.ctx.costs) / 3600)

    def count_cost(self, stage: str, node: orm.ProcessNode, amount: int = 1) -> None:
        """Take note of what a stage has cost, as its report tells.

        :param amount: of what it has done, by which its cost grows: the number of labels.
        """
        if 'report' in node.outputs:
            seconds = node.outputs.report.get_dict().get('core_seconds') or 0.0
            self.ctx.costs = [*self.ctx.costs, (stage, seconds, amount)]

    def can_afford(self, stage: str, amount: int = 1) -> bool:
        """Tell whether a stage may begin; if the core hours do not allow it, decide to end."""
        if self.ctx.stop is None:
            ahead = {'stage': stage, 'core_hours': methods.expected_core_hours(self.ctx.costs, stage, amount)}
            spent = {**self.spent, 'ahead': ahead}
            if methods.decide_stop(None, self.inputs.budget.get_dict(), spent)['reason'] is not None:
                self._decide('decide_stop', spent)
        return self.ctx.stop is None

    def decide_stop(self, assessment: orm.Dict) -> None:
        """Decide at the end of a cycle whether to go on."""
        cycle = assessment['cycle']
        self._decide(f'cycle_{cycle:02d}_decide_stop', self.spent, assessment=assessment)

    def _decide(self, call_link_label: str, spent: dict[str, Any], **assessment: orm.Dict) -> None:
        stop = decide_stop(
            budget=self.inputs.budget,
            spent=orm.Dict(spent),
            **assessment,
            metadata={'call_link_label': call_link_label},
        )
        if stop['reason'] is not None:
            self.ctx.stop = stop
            self.out('stop', stop)
            self.report(stop['sentence'])
