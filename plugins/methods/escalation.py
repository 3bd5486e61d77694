"""What a job is given after the scheduler or the machine has ended it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from aiida_prospect.common.enums import JobLoss


@dataclass(frozen=True)
class Escalation:
    """How far the demands of a job may grow, and how often it may be lost without any fault of its own.

    :param wall_time_factor: by which ``max_wallclock_seconds`` grows after a wall-time kill.
    :param max_wall_time_seconds: which it never exceeds: the limit of the queue. A larger one that was asked for stays.
    :param memory_factor: by which ``max_memory_kb`` grows after a memory kill.
    :param max_memory_kb: which it never exceeds: the memory of a node; ``None`` for no limit.
    :param max_losses: failures of the machine, and ends without a word (``scancel``), that one job survives.
    """

    wall_time_factor: float = 2.0
    max_wall_time_seconds: int = 86400
    memory_factor: float = 2.0
    max_memory_kb: int | None = None
    max_losses: int = 3

    def __post_init__(self) -> None:
        for name in ('wall_time_factor', 'memory_factor'):
            if getattr(self, name) < 1:
                raise ValueError(f'`{name}` is {getattr(self, name)}, it must be at least 1')
        if self.max_losses < 0:
            raise ValueError(f'`max_losses` is {self.max_losses}, it must not be negative')

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Escalation:
        """Return the policy that a protocol describes.

        :raises ValueError: if a key is unknown or a value impossible.
        """
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ValueError(f'`{unknown[0]}` is no setting of an escalation; known: {", ".join(known)}')
        return cls(**values)


@dataclass(frozen=True)
class Demand:
    """What the next job is to be given.

    :param options: scheduler options.
    :param granted: whether there is reason to expect that the job fares better, or was only unlucky.
    :param sentence: for the report.
    """

    options: dict[str, Any]
    granted: bool
    sentence: str


def next_demand(options: Mapping[str, Any], loss: JobLoss, policy: Escalation, losses: int = 0) -> Demand:
    """Return the options of the next job.

    :param options: of the job that was lost.
    :param losses: how many jobs of the same purpose the machine has lost before this one.
    """
    if loss is JobLoss.WALL_TIME:
        limit = policy.max_wall_time_seconds
        return _enlarge(options, 'max_wallclock_seconds', policy.wall_time_factor, limit, 'wall time', 's')
    if loss is JobLoss.MEMORY:
        return _enlarge(options, 'max_memory_kb', policy.memory_factor, policy.max_memory_kb, 'memory', 'kB')
    if losses < policy.max_losses:
        return Demand(
            dict(options), True, f'{loss}, submitted again ({losses + 1} of at most {policy.max_losses} times)'
        )
    return Demand(dict(options), False, f'{loss}, and that after {losses} times before')


def _enlarge(options: Mapping[str, Any], key: str, factor: float, limit: int | None, words: str, unit: str) -> Demand:
    given = options.get(key)
    if given is None:
        return Demand(dict(options), False, f'not enough {words}; set `options.{key}`, then it can be enlarged')
    wanted = int(given * factor)
    if limit is not None:
        wanted = max(given, min(wanted, limit))
    if wanted == given:
        return Demand(dict(options), False, f'{given} {unit} of {words} were not enough, and more is not allowed')
    return Demand({**options, key: wanted}, True, f'{words} enlarged from {given} to {wanted} {unit}')
