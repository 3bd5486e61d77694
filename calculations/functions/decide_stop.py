"""Calculation function that ends a search."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_prospect.methods import budget as methods


@calcfunction
def decide_stop(budget: orm.Dict, spent: orm.Dict, assessment: orm.Dict | None = None) -> orm.Dict:
    """Decide whether a search goes on, see :func:`aiida_prospect.methods.budget.decide_stop`.

    :param assessment: of the cycle; without it the decision falls in the middle of one.
    """
    judged = None if assessment is None else assessment.get_dict()
    return orm.Dict(methods.decide_stop(judged, budget.get_dict(), spent.get_dict()))
