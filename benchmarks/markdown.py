"""Parts of pages in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any


def table(columns: Sequence[str], lines: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Yield the lines of a table, and an empty one after it."""
    yield f'| {" | ".join(columns)} |'
    yield f'|{"---|" * len(columns)}'
    for line in lines:
        yield f'| {" | ".join(map(str, line))} |'
    yield ''
