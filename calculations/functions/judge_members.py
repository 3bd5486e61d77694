"""Comparison of the members of an ensemble."""

from __future__ import annotations

from aiida.engine import calcfunction
from aiida.orm import Dict

from aiida_prospect.methods.ensemble_judgement import judge_results


@calcfunction
def judge_members(parameters: Dict, failures: Dict, costs: Dict, **results: Dict) -> Dict:
    """Tell which members of an ensemble are good, see :func:`~.methods.ensemble_judgement.judge_results`.

    :param parameters: ``max_error_ratio``.
    :param failures: why members have no result, by member.
    :param costs: core seconds of all trainings of a member, by member.
    :param results: of the trainings, by member.
    """
    contents = {member: node.get_dict() for member, node in results.items()}
    return Dict(judge_results(contents, failures.get_dict(), parameters.get_dict(), costs.get_dict()))
