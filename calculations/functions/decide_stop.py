"""Calculation function that ends a search."""

from aiida import orm
from aiida.engine import calcfunction

from aiida_prospect.methods import budget as methods


@calcfunction
def decide_stop(assessment: orm.Dict, budget: orm.Dict, spent: orm.Dict) -> orm.Dict:
    """Decide whether a search goes on, see :func:`aiida_prospect.methods.budget.decide_stop`."""
    return orm.Dict(methods.decide_stop(assessment.get_dict(), budget.get_dict(), spent.get_dict()))
