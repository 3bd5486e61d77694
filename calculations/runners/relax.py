"""Relax the frames of a job on the compute side; run as ``python -m`` in the job's folder."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.evaluators.base import JOB_IS_ENDING
from aiida_prospect.methods.evaluators.loading import load_ensemble
from aiida_prospect.methods.relaxation.driver import CheckpointError, Relaxation
from aiida_prospect.methods.relaxation.settings import RelaxSettings

FRAMES = 'frames.npz'
ENSEMBLE = 'ensemble.json'
PARAMETERS = 'parameters.json'
CHECKPOINT = 'checkpoint.npz'
RESULT = 'relaxed.npz'
TRAJECTORIES = 'trajectories.npz'
STATISTICS = 'statistics.json'
PROGRESS = 'progress.json'
# What reading a file raises that was cut short, or that another version wrote.
DAMAGE = (BadZipFile, EOFError, KeyError, TypeError, ValueError)


class Runner:
    """Advances a relaxation and writes down, every now and then, all that is needed to go on.

    :param folder: of the job. What lies there after each checkpoint, besides the checkpoint itself: all frames in their
        present state, the trajectories if asked for, and the statistics.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started = time.monotonic()
        self.parameters: dict[str, Any] = json.loads((folder / PARAMETERS).read_text())
        self.stopped = ''

    def load(self) -> None:
        """Load potentials and frames, and the checkpoint if there is one.

        :raises ValueError: if something does not fit together.
        :raises OSError: if a file is missing.
        """
        ensemble = load_ensemble(json.loads((self.folder / ENSEMBLE).read_text()), self.folder)
        settings = RelaxSettings.from_dict(self.parameters['settings'])
        frames = Frames.load(self.folder / FRAMES)
        self.relaxation = Relaxation(frames, ensemble, settings)
        if (self.folder / CHECKPOINT).is_file() and not self._restore():
            self.relaxation = Relaxation(frames, ensemble, settings)
        self.loading = time.monotonic() - self.started

    def _restore(self) -> bool:
        """Continue from the checkpoint; tell whether it could be read.

        :raises CheckpointError: if it belongs to something else.
        """
        try:
            self.relaxation.restore(self.folder / CHECKPOINT)
        except CheckpointError:
            raise
        except DAMAGE as exception:
            sys.stderr.write(f'`{CHECKPOINT}` cannot be read, the relaxation begins anew: {exception}\n')
            return False
        return True

    def run(self) -> None:
        """Advance until all is done, the time is up or a signal says so."""
        signal.signal(signal.SIGTERM, lambda *_: self._end())
        written = shown = time.monotonic()
        self.show()
        while not self.relaxation.done and not self.stopped:
            self.relaxation.advance()
            now = time.monotonic()
            limit = self.parameters.get('max_seconds')
            if limit is not None and now - self.started > limit:
                self._stop('the time was up')
            if now - shown > self.parameters['progress_seconds']:
                self.show()
                shown = now
            if now - written > self.parameters['checkpoint_seconds'] and not self.relaxation.done:
                self.write()
                written = now
        self.write()
        self.show()

    def _end(self) -> None:
        JOB_IS_ENDING.set()
        self._stop('asked to by a signal')

    def _stop(self, why: str) -> None:
        self.stopped = why

    def write(self) -> None:
        """Write checkpoint and results."""
        self.relaxation.save(self.folder / CHECKPOINT)
        self._write_frames(RESULT, self.relaxation.results.frames())
        if self.relaxation.settings.trajectory is not None:
            self._write_frames(TRAJECTORIES, self.relaxation.trajectories())
        self._write_json(STATISTICS, self._statistics())

    def show(self) -> None:
        """Write where things stand, for people."""
        self._write_json(PROGRESS, self.relaxation.progress())

    def _statistics(self) -> dict[str, Any]:
        return {
            **self.relaxation.counters,
            'seconds_loading': self.loading,
            'core_seconds': time.process_time(),
            'finished': self.relaxation.done,
            'stopped': self.stopped,
        }

    def _write_frames(self, name: str, frames: Frames) -> None:
        frames.save(self.folder / f'{name}.new')
        os.replace(self.folder / f'{name}.new', self.folder / name)

    def _write_json(self, name: str, content: dict[str, Any]) -> None:
        (self.folder / f'{name}.new').write_text(json.dumps(content))
        os.replace(self.folder / f'{name}.new', self.folder / name)


def main(folder: Path) -> int:
    """Relax.

    :return: 0, or 1 if the relaxation could not begin, in which case the statistics hold the ``error``.
    """
    runner = Runner(folder)
    try:
        runner.load()
    except (ImportError, OSError, RuntimeError, TypeError, ValueError) as exception:
        (folder / STATISTICS).write_text(json.dumps({'error': f'{type(exception).__name__}: {exception}'}))
        return 1
    runner.run()
    return 0


if __name__ == '__main__':
    sys.exit(main(Path.cwd()))
