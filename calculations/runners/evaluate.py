"""Evaluate the frames of a job on the compute side; run as ``python -m`` in the job's folder."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from aiida_prospect.common.enums import LabelStatus
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.evaluators.loading import load_ensemble

FRAMES = 'frames.npz'
ENSEMBLE = 'ensemble.json'
RESULT = 'evaluated.npz'
STATISTICS = 'statistics.json'
NOT_REACHED = 'the job ended before this frame was evaluated'

SECONDS_PER_CHUNK = 15.0
LARGEST_CHUNK = 1024


def main(folder: Path) -> int:
    """Evaluate and write; results are on disk after every chunk, so that a job that is killed loses one chunk at most.

    :return: 0, or 1 if the potentials could not be loaded, in which case the statistics hold the ``error``.
    """
    start = time.monotonic()
    frames = Frames.load(folder / FRAMES)
    try:
        ensemble = load_ensemble(json.loads((folder / ENSEMBLE).read_text()), folder)
    except (ImportError, OSError, RuntimeError, TypeError, ValueError) as exception:
        _write_statistics(folder, error=f'{type(exception).__name__}: {exception}')
        return 1
    loaded = time.monotonic()
    for done, result in evaluate_in_chunks(frames, ensemble.evaluate):
        _replace(folder / RESULT, result)
        now = time.monotonic()
        _write_statistics(folder, evaluations=done, seconds=now - start, seconds_loading=loaded - start)
    return 0


def evaluate_in_chunks(frames: Frames, evaluate: Callable[[Frames], Frames]) -> Iterator[tuple[int, Frames]]:
    """Yield, after every chunk, how many frames are done and all frames with what is known.

    Frames of equal composition go together, because they are evaluated in one batch. A chunk has as many frames as
    take a quarter of a minute, judged by the one before; the first has one, because that may take hours.
    """
    order = np.argsort(np.array(frames.formulas), kind='stable')
    back = np.argsort(order)
    ordered = frames.select(order)
    parts: list[Frames] = []
    done, size = 0, 1
    while done < len(frames):
        start = time.monotonic()
        parts.append(evaluate(ordered.select(range(done, min(done + size, len(frames))))))
        done += len(parts[-1])
        rest = ordered.select(range(done, len(frames)))
        waiting = rest.replace(status=[str(LabelStatus.FAILED)] * len(rest), reason=[NOT_REACHED] * len(rest))
        parts = [Frames.concatenate(parts)]
        yield done, Frames.concatenate([*parts, waiting]).select(back)
        seconds = max(time.monotonic() - start, 1e-3)
        size = int(np.clip(size * SECONDS_PER_CHUNK / seconds, max(1, size // 4), min(size * 4, LARGEST_CHUNK)))


def _replace(path: Path, frames: Frames) -> None:
    frames.save(path.with_suffix('.part'))
    path.with_suffix('.part').replace(path)


def _write_statistics(folder: Path, **values: str | float) -> None:
    (folder / STATISTICS).write_text(json.dumps(values))


if __name__ == '__main__':
    sys.exit(main(Path.cwd()))
