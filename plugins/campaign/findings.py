"""What was found out about an installation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aiida_prospect.common.enums import Choice


class Level(Choice):
    """How bad it is."""

    OK = 'ok'
    WARNING = 'warning'
    ERROR = 'error'


@dataclass(frozen=True)
class Finding:
    """One line of a diagnosis.

    :param subject: what was looked at, for example ``computer cluster``.
    :param remedy: the command that mends it, or what else to do; empty if all is well.
    """

    level: Level
    subject: str
    message: str
    remedy: str = ''


def describe(exception: Exception) -> str:
    """Return an error in one line."""
    return ' '.join(f'{type(exception).__name__}: {exception}'.split())


def has_errors(findings: Iterable[Finding]) -> bool:
    """Tell whether something does not work."""
    return any(finding.level is Level.ERROR for finding in findings)
