"""What is stored, without what stands on other data than the most recent results: no table mixes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.training_cost.rows import ROWS, SILICON

Result = Mapping[str, Any]
# Trainings of ladders that do not say what they were made on: until then crystals were relaxed by FIRE.
SINCE = '2026-11-22'
SAME_SPREAD = 1e-6


@dataclass(frozen=True)
class Stored:
    """Results by name.

    :param rows: of the comparison of models, in their order.
    :param ladders: trainings of ladders that are no rows.
    :param left_out: names of those on other data.
    """

    rows: dict[str, Result]
    ladders: dict[str, Result]
    left_out: tuple[str, ...]

    @classmethod
    def read(cls, results: Path) -> Stored:
        """Read all results that can be compared."""
        found = {path.stem: json.loads(path.read_text()) for path in sorted((results / 'models').glob('*.json'))}
        every = {name: found[name] for name in ROWS if name in found}
        rows = {name: item for name, item in every.items() if _is_judged_alike(name, every)}
        trained = {path.stem: json.loads(path.read_text()) for path in sorted((results / 'ladder').glob('*.json'))}
        frames = _frames([item for name, item in rows.items() if ROWS[name].target == SILICON] + list(trained.values()))
        ladders = {name: item for name, item in trained.items() if _is_on(item, frames)}
        left_out = [name for name in every if name not in rows] + [name for name in trained if name not in ladders]
        return cls(rows, ladders, tuple(left_out))


def _is_judged_alike(name: str, every: Mapping[str, Result]) -> bool:
    """Tell whether a row was judged as the most recent one of the same target, or not at all."""
    if 'judged' not in every[name]:
        return True
    same = [item for other, item in every.items() if ROWS[other].target == ROWS[name].target and 'judged' in item]
    return is_alike(every[name], max(same, key=_date))


def is_alike(first: Result, second: Result) -> bool:
    """Tell whether two rows were judged on the same crystals; where one does not say on which, the minima decide."""
    if 'data' in first and 'data' in second:
        return bool(first['data']['judged'] == second['data']['judged'])
    one, other = first['judged'], second['judged']
    spreads = [judged['minima_spread'] for judged in (one, other) if 'minima_spread' in judged]
    same_spread = not spreads or max(spreads) - min(spreads) < SAME_SPREAD
    return one['minima'] == other['minima'] and same_spread


def _frames(trained: list[Result]) -> str | None:
    """Return what the most recent training that says so was validated on."""
    saying = [item for item in trained if 'data' in item]
    return str(max(saying, key=_date)['data']['validation']) if saying else None


def _is_on(item: Result, frames: str | None) -> bool:
    return bool(item['data']['validation'] == frames) if 'data' in item else _date(item) >= SINCE


def _date(item: Result) -> str:
    return str(item['conditions']['date'])
