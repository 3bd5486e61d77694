"""Refusals of inputs that several work chains have in common."""

from __future__ import annotations

from typing import Any

from aiida import orm


def validate_positive(value: orm.Int, _: Any) -> str | None:
    """Refuse zero and less."""
    return None if value.value > 0 else f'{value.value} is not positive'
