"""Comparison with the figures that are kept, and the table."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.smoke.parts import PARTS, Part

REFERENCE = Path(__file__).parents[1] / 'results' / 'smoke.json'
# Ratios of one run scatter by some ten percent on a busy machine; a regression that matters is more.
NOISE = 0.25


def load_reference() -> dict[str, Any]:
    """Return the kept figures of each part, of none if there are none."""
    return json.loads(REFERENCE.read_text())['parts'] if REFERENCE.is_file() else {}


def verdict(part: Part, name: str, value: float, reference: float | None) -> str:
    """Say how a number compares with the one that is kept."""
    if reference is None or name not in (*part.larger, *part.smaller):
        return ''
    if not (value > 0 and reference > 0):
        better = value >= reference if name in part.larger else value <= reference
        return 'as before' if value == reference else 'better' if better else 'WORSE'
    change = math.log(value / reference) * (1 if name in part.larger else -1)
    if abs(change) < math.log1p(NOISE):
        return 'as before'
    return 'better' if change > 0 else 'WORSE'


def table(results: Mapping[str, Mapping[str, Any]], reference: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield a table of all results in Markdown, and what is worse than what is kept."""
    yield '| benchmark | figure | now | kept | |'
    yield '|---|---|---|---|---|'
    worse = []
    for name, result in results.items():
        part, kept = PARTS[name], reference.get(name, {}).get('figures', {})
        if 'error' in result:
            yield f'| {name} | failed | – | – | {result["error"]} |'
            continue
        for figure, value in result['figures'].items():
            before = kept.get(figure)
            judged = verdict(part, figure, value, before)
            shown = '–' if before is None else f'{before:.3g}'
            yield f'| {name} | {part.words.get(figure, figure)} | {value:.3g} | {shown} | {judged} |'
            if judged == 'WORSE':
                worse.append(f'{name}, {part.words.get(figure, figure)}: {value:.3g}, kept {before:.3g}')
    yield ''
    if worse:
        yield f'Worse than what is kept by more than {NOISE:.0%}:'
        yield from (f'- {line}' for line in worse)
    else:
        yield f'Nothing is worse than what is kept by more than {NOISE:.0%}.'
