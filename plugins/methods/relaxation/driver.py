"""Relaxation of many structures by an ensemble of potentials, with a batch that is always full."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiida_prospect.common.enums import LabelStatus, RelaxStatus
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.evaluators.ensemble import Ensemble
from aiida_prospect.methods.relaxation.endings import Ending, endings, in_a_hole
from aiida_prospect.methods.relaxation.optimisers import make_optimiser
from aiida_prospect.methods.relaxation.sanity import unphysical
from aiida_prospect.methods.relaxation.settings import RelaxSettings
from aiida_prospect.methods.relaxation.state import Flight, Results, write_atomically
from aiida_prospect.methods.relaxation.vectors import IntArray, Vectors, generalised_forces

# Evaluations that gave no energy; a counter beside those of what was done.
FAILED_EVALUATIONS = 'failed_evaluations'
# Settings with which another relaxation may go on.
MAY_DIFFER = ('batch_atoms', 'spread_every')


class CheckpointError(ValueError):
    """A checkpoint of another relaxation."""


class Relaxation:
    """Relaxes positions and cells of many structures on the mean of an ensemble.

    Of a relaxation that converged the last frame is kept, of any other the one of lowest enthalpy among those of which
    the spread of the potentials is known. A structure that is not physical from the start, or that cannot be evaluated,
    comes back as it was.

    :param frames: in any order and of any composition.
    :param ensemble: of potentials.
    :param settings: of the optimiser.
    """

    def __init__(self, frames: Frames, ensemble: Ensemble, settings: RelaxSettings) -> None:
        self.initial, self.ensemble, self.settings = frames, ensemble, settings
        self.results = Results(frames, spread=len(ensemble) > 1)
        self.optimiser = make_optimiser(settings)
        self.flight = Flight.start(frames, np.empty(0, dtype=np.int64), self.optimiser)
        self.counters = {'evaluations': 0, FAILED_EVALUATIONS: 0, 'batches': 0, 'idle_atoms': 0, 'seconds': 0.0}
        self._snapshots: list[Frames] = []
        # Structures of one composition are evaluated in one call, so they should fly together.
        _, composition = np.unique([_composition(frames, i) for i in range(len(frames))], return_inverse=True)
        self._queue = np.lexsort((np.arange(len(frames)), composition)) if len(frames) else np.empty(0, dtype=np.int64)
        self._next = 0

    @property
    def done(self) -> bool:
        """Whether every relaxation has ended."""
        return self._next == len(self._queue) and not len(self.flight)

    def advance(self) -> None:
        """Fill the batch up, evaluate it, let go those that have ended and move the others by one step."""
        started = time.perf_counter()
        self._fill()
        if len(self.flight):
            evaluated, forces = self._evaluate()
            ended = self._record(evaluated, forces)
            self._move(forces, ended)
        self.counters['seconds'] += time.perf_counter() - started

    def run(self) -> Frames:
        """Advance until all relaxations have ended."""
        while not self.done:
            self.advance()
        return self.results.frames()

    def _fill(self) -> None:
        """Let structures of the queue take the room that there is."""
        room = self.settings.batch_atoms - int(self.flight.n_atoms.sum())
        while self._next < len(self._queue):
            waiting = self._queue[self._next :]
            fitting = np.cumsum(self.initial.n_atoms[waiting]) <= room
            count = max(int(fitting.sum()), 0 if len(self.flight) else 1)
            if not count:
                return
            self._next += count
            self.flight = self.flight.join(Flight.start(self.initial, waiting[:count], self.optimiser))
            self._drop_unphysical()
            room = self.settings.batch_atoms - int(self.flight.n_atoms.sum())

    def _drop_unphysical(self) -> None:
        flight = self.flight
        if len(flight):
            volumes = np.abs(np.linalg.det(flight.reference))
            found = unphysical(
                flight.numbers, flight.offsets, flight.positions, flight.cells, volumes, self.settings.sanity
            )
            self._release({index: (RelaxStatus.UNPHYSICAL, reason) for index, reason in found.items()})

    def _release(self, ended: Mapping[int, Ending]) -> None:
        for row, (status, reason) in ended.items():
            self.results.arrays['steps'][self.flight.index[row]] = self.flight.steps[row]
            self.results.finish(int(self.flight.index[row]), status, reason)
        if ended:
            self.flight = self.flight.take(~np.isin(np.arange(len(self.flight)), list(ended)))

    def _evaluate(self) -> tuple[Frames, Vectors]:
        """Return the present frames, with the spread of the potentials where a relaxation may end, and the forces."""
        flight, settings = self.flight, self.settings
        # Evaluators recognise by the source what they have seen a step before.
        frames = Frames(flight.numbers, flight.offsets, flight.positions, flight.cells, source=flight.index)
        # After a restart with smaller batches, because memory did not suffice, more may be in flight than fit into one.
        batch = (flight.offsets[1:] - 1) // settings.batch_atoms
        due = self._spread_is_due()
        parts = [
            self.ensemble.evaluate_mean(frames.select(batch == number), due[batch == number])
            for number in np.unique(batch)
        ]
        evaluated = parts[0] if len(parts) == 1 else Frames.concatenate(parts)
        forces = generalised_forces(
            evaluated.known('forces'),
            evaluated.known('stress'),
            evaluated.cells,
            flight.deformation,
            evaluated.offsets,
            settings.pressure,
        )
        arrived = ~due & (forces.longest(evaluated.offsets) < settings.fmax)
        if self.ensemble.mean is not None and arrived.any():
            judged = self.ensemble.evaluate(frames.select(arrived))
            evaluated = Frames.interleave(arrived, judged, evaluated.select(~arrived))
        self.counters['evaluations'] += len(flight)
        self.counters[FAILED_EVALUATIONS] += int(np.sum(evaluated.known('status') != LabelStatus.OK.value))
        self.counters['batches'] += 1
        if self._next < len(self._queue):
            self.counters['idle_atoms'] += max(0, settings.batch_atoms - len(flight.numbers))
        return evaluated, forces

    def _spread_is_due(self) -> NDArray[np.bool_]:
        flight, settings = self.flight, self.settings
        intervals = [settings.spread_every] + ([settings.trajectory.every] if settings.trajectory else [])
        due = np.any([flight.steps % every == 0 for every in intervals], axis=0)
        given_up = (flight.steps - flight.lowest_step >= settings.patience) | (flight.steps >= settings.max_steps)
        return np.asarray(due | given_up)

    def _record(self, evaluated: Frames, forces: Vectors) -> dict[int, Ending]:
        """Note energies and best frames; return which relaxations have ended and why."""
        flight, settings = self.flight, self.settings
        enthalpy = evaluated.known('energy') + settings.pressure * evaluated.volumes
        fmax = forces.longest(evaluated.offsets)
        first = flight.steps == 0
        self.results.arrays['energy_initial'][flight.index[first]] = evaluated.known('energy')[first]
        self.results.arrays['steps'][flight.index] = flight.steps
        judged = True if evaluated.energy_spread is None else np.isfinite(evaluated.energy_spread)
        lower = (enthalpy < flight.lowest) & ~in_a_hole(evaluated, settings.sanity) & judged
        flight.lowest = np.where(lower, enthalpy, flight.lowest)
        flight.lowest_step = np.where(lower, flight.steps, flight.lowest_step)
        ended = endings(flight, evaluated, fmax, settings)
        converged = [row for row, (status, _) in ended.items() if status is RelaxStatus.CONVERGED]
        self.results.improve(lower | np.isin(np.arange(len(flight)), converged), flight, evaluated)
        self._take_snapshots(evaluated, ended)
        return ended

    def _move(self, forces: Vectors, ended: Mapping[int, Ending]) -> None:
        flying = ~np.isin(np.arange(len(self.flight)), list(ended))
        forces = Vectors(forces.atoms[np.repeat(flying, self.flight.n_atoms)], forces.cell[flying])
        self._release(ended)
        if len(self.flight):
            flight = self.flight
            flight.move(*self.optimiser.step(flight.memory, forces, flight.offsets, flight.steps > 0))
            self._drop_unphysical()

    def _take_snapshots(self, evaluated: Frames, ended: Mapping[int, Ending]) -> None:
        if self.settings.trajectory is None:
            return
        steps = self.flight.steps
        last = np.isin(np.arange(len(steps)), list(ended)) & (evaluated.known('status') == LabelStatus.OK.value)
        chosen = np.flatnonzero((steps % self.settings.trajectory.every == 0) | last)
        known = evaluated.without('status', 'reason').select(chosen)
        self._snapshots.append(known.replace(source=self.flight.index[chosen], steps=steps[chosen]))

    def trajectories(self) -> Frames:
        """Return the frames kept on the way, structure by structure; ``source`` is the frame that they started from."""
        settings = self.settings.trajectory
        if settings is None or not self._snapshots:
            return Frames.empty()
        kept = Frames.concatenate(self._snapshots)
        source = kept.known('source')
        chosen = np.lexsort((kept.known('steps'), source))
        chosen = chosen[np.isin(self.results.arrays['status'][source[chosen]], settings.statuses)]
        kept = kept.select(chosen)
        origin = self.initial.origin
        return kept if origin is None else kept.replace(origin=origin[kept.known('source')])

    def progress(self) -> dict[str, Any]:
        """Return where things stand, for people: counts, and the lowest energy per atom in eV."""
        arrays = self.results.arrays
        status, count = np.unique(arrays['status'][self.results.finished], return_counts=True)
        lowest = arrays['energy'] / self.initial.n_atoms
        physical = np.isfinite(lowest) & (arrays['status'] != RelaxStatus.UNPHYSICAL.value)
        return {
            'total': len(self.initial),
            'done': int(self.results.finished.sum()),
            'in_flight': len(self.flight),
            'queued': len(self._queue) - self._next,
            'by_status': {str(name): int(number) for name, number in zip(status, count, strict=True)},
            'best_energy': float(lowest[physical].min()) if physical.any() else None,
            **self.counters,
        }

    def fingerprint(self) -> str:
        """Return a hash of what a relaxation must have in common with one that it continues, besides the potentials."""
        settings = {key: value for key, value in asdict(self.settings).items() if key not in MAY_DIFFER}
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        for name in ('numbers', 'offsets', 'positions', 'cells'):
            digest.update(self.initial.known(name).tobytes())
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Write the whole state, from which :meth:`restore` continues to the last bit."""
        arrays = {f'results_{name}': value for name, value in self.results.stored().items()}
        arrays |= {f'flight_{name}': value for name, value in self.flight.arrays().items()}
        if self._snapshots:
            kept = Frames.concatenate(self._snapshots).arrays()
            arrays |= {f'snapshots_{name}': value for name, value in kept.items()}
        arrays |= {'next': np.array(self._next), 'counters': np.array(json.dumps(self.counters))}
        write_atomically(path, arrays | {'fingerprint': np.array(self.fingerprint())})

    def restore(self, path: Path) -> None:
        """Continue from a checkpoint.

        :raises CheckpointError: if it belongs to other frames or settings.
        """
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
        if str(arrays['fingerprint']) != self.fingerprint():
            raise CheckpointError(f'`{path.name}` belongs to a relaxation of other structures or with other settings')
        self.results.restore(_prefixed(arrays, 'results_'))
        self.flight = Flight.of(_prefixed(arrays, 'flight_'))
        snapshots = _prefixed(arrays, 'snapshots_')
        self._snapshots = [Frames.from_arrays(snapshots)] if snapshots else []
        self._next = int(arrays['next'])
        self.counters |= json.loads(str(arrays['counters']))


def _prefixed(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def _composition(frames: Frames, index: int) -> str:
    numbers: IntArray = np.sort(frames.numbers[frames.offsets[index] : frames.offsets[index + 1]])
    return f'{len(numbers):06d} {numbers.tolist()}'
