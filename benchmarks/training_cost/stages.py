"""The share of each stage in whole searches.

Before: searches by the work chain that earlier commits have stored under ``benchmarks/results/label_efficiency``, with
what their jobs reported. Now: those that the benchmark of label efficiency stores, whose loop runs in one process.
"""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.conditions import ROOT, conditions

STORED = 'benchmarks/results/label_efficiency'


def take(results: Path, commit: str) -> None:
    """Store the seconds by stage of the searches that a commit has."""
    listed = _git('ls-tree', '--name-only', commit, f'{STORED}/').splitlines()
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for path in listed:
        item = json.loads(_git('show', f'{commit}:{path}')) if path.endswith('.json') else {}
        if 'cost' in item:
            groups.setdefault(Path(path).stem.rpartition('_')[0], []).append(item)
    found = []
    for name, items in groups.items():
        stages = [stage for stage in items[0]['cost'] if stage != 'total']
        seconds = {stage: statistics.median(item['cost'].get(stage) or 0.0 for item in items) for stage in stages}
        labels = statistics.median(item['labels']['total'] for item in items)
        found.append({'name': name, 'searches': len(items), 'labels': labels, 'seconds': seconds})
    if not found:
        raise ValueError(f'the commit {commit} has no searches with costs under {STORED}')
    results.mkdir(parents=True, exist_ok=True)
    content = {'of_commit': commit, 'searches': found, 'conditions': conditions()}
    (results / 'stages_before.json').write_text(json.dumps(content, indent=1) + '\n')


def _git(*arguments: str) -> str:
    done = subprocess.run(['git', *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def before(results: Path) -> Iterator[dict[str, Any]]:
    """Yield what was stored by :func:`take`."""
    path = results / 'stages_before.json'
    if path.is_file():
        content = json.loads(path.read_text())
        for item in content['searches']:
            yield {**item, 'when': f'work chain, commit {content["of_commit"]}'}


def now(folder: Path = ROOT / STORED) -> Iterator[dict[str, Any]]:
    """Yield medians of the searches that the benchmark of label efficiency has stored since."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for path in sorted(folder.glob('*/*.json')):
        item = json.loads(path.read_text())
        if 'train' in item.get('seconds', {}):
            groups.setdefault(f'{item["system"]}, {item["method"]}', []).append(item)
    for name, items in groups.items():
        stages = sorted({stage for item in items for stage in item['seconds']})
        seconds = {stage: statistics.median(item['seconds'].get(stage, 0.0) for item in items) for stage in stages}
        yield {'name': name, 'searches': len(items), 'seconds': seconds, 'when': 'one process'}
