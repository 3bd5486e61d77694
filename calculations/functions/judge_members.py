"""Comparison of the members of an ensemble."""

from __future__ import annotations

from aiida.engine import calcfunction
from aiida.orm import Dict

from aiida_prospect.methods.ensemble_judgement import judge_members as judge

FEWEST_VALIDATION_FRAMES = 10


@calcfunction
def judge_members(parameters: Dict, failures: Dict, **results: Dict) -> Dict:
    """Tell which members of an ensemble are good.

    :param parameters: ``max_error_ratio``, see :func:`~aiida_prospect.methods.ensemble_judgement.judge_members`.
    :param failures: why members have no result, by member.
    :param results: of the trainings, by member.
    :return: ``accepted`` members, ``refused`` with the reason by member, ``errors`` by member and the frames that they
        were ``tested_on``, ``seconds`` by member, ``n_training``, ``n_validation``.
    """
    contents = {member: node.get_dict() for member, node in results.items()}
    # Of a few frames one hard one decides; what was trained on tells at least which training failed.
    common = all(content['n_validation'] >= FEWEST_VALIDATION_FRAMES for content in contents.values())
    tested_on = 'validation' if common else 'training'
    errors = {member: content['errors'][tested_on] for member, content in contents.items()}
    refused = {**failures.get_dict(), **judge(errors, parameters.get_dict().get('max_error_ratio') or {})}
    return Dict(
        {
            'tested_on': tested_on,
            'errors': errors,
            'accepted': sorted(set(errors) - set(refused)),
            'refused': refused,
            'seconds': {member: content['total_seconds'] for member, content in contents.items()},
            'core_seconds': sum(content['total_seconds'] for content in contents.values()),
            'n_training': max((content['n_training'] for content in contents.values()), default=0),
            'n_validation': max((content['n_validation'] for content in contents.values()), default=0),
        }
    )
