"""Results on disk, one small file each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / 'results' / 'label_efficiency'
LARGEST = 100_000


@dataclass(frozen=True, order=True)
class Task:
    """One thing to run and to store.

    :param method: of :data:`benchmarks.label_efficiency.methods.METHODS`, or ``baseline``.
    :param pool: kind of random crystals.
    """

    system: str
    method: str
    pool: str
    seed: int

    @property
    def path(self) -> Path:
        """Where its result is stored."""
        return RESULTS / self.system / f'{self.method}_{self.pool}_{self.seed:03d}.json'

    @property
    def command(self) -> str:
        """What runs it."""
        options = f'--system {self.system} --method {self.method} --pool-kind {self.pool} --seeds {self.seed}'
        return f'python -m benchmarks.label_efficiency run {options}'


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a result.

    :raises ValueError: if it is larger than what a repository should hold many of; it is kept beside its place.
    """
    text = dumps(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix('.part')
    part.write_text(text)
    if len(text) > LARGEST:
        raise ValueError(f'{path.name} has {len(text)} bytes, at most {LARGEST} are allowed: it stays in `{part}`')
    part.replace(path)


def dumps(content: dict[str, Any]) -> str:
    """Return JSON with one line for each key."""
    lines = [f' {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}' for key, value in content.items()]
    return '{\n' + ',\n'.join(lines) + '\n}\n'


def read(system: str, method: str, pool: str) -> list[dict[str, Any]]:
    """Return the results of all seeds."""
    paths = sorted((RESULTS / system).glob(f'{method}_{pool}_[0-9]*.json'))
    return [json.loads(path.read_text()) for path in paths]


def stored() -> Iterator[tuple[str, str, str]]:
    """Yield system, method and pool of what there is."""
    seen = {(path.parent.name, *path.stem.rsplit('_', 2)[:2]) for path in RESULTS.glob('*/*_*_[0-9]*.json')}
    yield from sorted(seen)
