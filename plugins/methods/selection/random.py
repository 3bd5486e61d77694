"""Selection at random, the null hypothesis."""

from __future__ import annotations

from dataclasses import dataclass

from aiida_prospect.methods.selection.base import Choice, SelectionRequest, draw


@dataclass(frozen=True)
class RandomSettings:
    """There is nothing to set."""


def select(request: SelectionRequest) -> list[Choice]:
    """Choose at random among the frames that are of use and not labelled already."""
    request.settings(RandomSettings)
    return draw(request)
