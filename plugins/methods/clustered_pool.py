"""A pool with its minima and fingerprints, and what the steps of a search ask of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from aiida_prospect.common.frames import FloatArray, Frames
from aiida_prospect.methods.calibration import Calibration, calibrate
from aiida_prospect.methods.clusters import Clusters, ClusterSettings, cluster
from aiida_prospect.methods.convergence import ConvergenceSettings, assess
from aiida_prospect.methods.finalists import choose_finalists
from aiida_prospect.methods.fingerprints import FingerprintSettings, fingerprints
from aiida_prospect.methods.refill import is_new
from aiida_prospect.methods.selection.base import SelectionRequest, load_strategy
from aiida_prospect.methods.selection.candidates import choose

FINGERPRINT = 'fingerprint'
Labels = Mapping[str, Frames]


@dataclass(frozen=True)
class ClusteredPool:
    """A pool after its clustering.

    :param frames: relaxed by an ensemble, or as generated.
    :param clusters: its minima.
    :param spectra: (n_frames, d), fingerprints. Of all that a search stores they are the largest, so they have single
        precision; distances below 1e-6 do not matter.
    :param settings: of the fingerprints, so that those of other frames can be made alike.
    :param elements: that the fingerprints know of.
    """

    frames: Frames
    clusters: Clusters
    spectra: FloatArray
    settings: FingerprintSettings
    elements: tuple[str, ...]

    @classmethod
    def of(cls, frames: Frames, parameters: Mapping[str, Any]) -> ClusteredPool:
        """Find the minima.

        :param parameters: those of :class:`ClusterSettings`, and under ``fingerprint`` those of
            :class:`FingerprintSettings`.
        """
        values = dict(parameters)
        settings = FingerprintSettings(**values.pop(FINGERPRINT, {}))
        spectra = fingerprints(frames, frames.elements, settings)
        clusters = cluster(frames, spectra, ClusterSettings(**values))
        return cls(frames, clusters, spectra.astype(np.float32).astype(np.float64), settings, frames.elements)

    def spectra_of(self, frames: Frames) -> FloatArray:
        """Return the fingerprints of other frames, made as those of the pool; NaN for elements that it has not."""
        return fingerprints(frames, self.elements, self.settings)

    def select(self, parameters: Mapping[str, Any], labels: Labels) -> Frames:
        """Choose what is labelled next, see :func:`~aiida_prospect.methods.selection.candidates.choose`.

        :param parameters: ``strategy``, ``n_select``, ``seed``, ``cycle``, ``tolerance``, ``energy_tolerance`` and, by
            strategy, ``options``.
        :param labels: of all cycles so far, by names that sort by cycle.
        """
        names = sorted(labels)
        strategy = parameters['strategy']
        labelled, spectra = self._joined(labels)
        request = SelectionRequest(
            self.frames,
            self.spectra,
            self.clusters,
            n_select=parameters['n_select'],
            rng=np.random.default_rng([parameters['seed'], parameters['cycle']]),
            labelled=labelled,
            labelled_fingerprints=spectra,
            cycle=parameters['cycle'],
            options=parameters['options'].get(strategy, {}),
            calibration=calibrate(labels[names[-1]]) if names else Calibration(),
            tolerance=parameters['tolerance'],
            energy_tolerance=parameters['energy_tolerance'],
        )
        return choose(load_strategy(strategy), request)

    def assess(
        self, parameters: Mapping[str, Any], labels: Labels, previous: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """Judge whether the lowest minima are stable and confirmed, see :func:`.convergence.assess`.

        :param parameters: those of :class:`ConvergenceSettings`, and the number of the ``cycle``.
        :param previous: the assessment of the cycle before, needed for a patience of more than one cycle.
        """
        values = dict(parameters)
        cycle = values.pop('cycle')
        spectra = {name: self.spectra_of(labels[name]) for name in sorted(labels)}
        settings = ConvergenceSettings(**values)
        new = is_new(self.frames, cycle)
        assessment = assess(self.frames, self.clusters, self.spectra, labels, spectra, settings, previous, new)
        return {'cycle': cycle, **assessment}

    def finalists(self, parameters: Mapping[str, Any], labels: Labels) -> Frames:
        """Choose what is relaxed at the end, see :func:`~aiida_prospect.methods.finalists.choose_finalists`.

        :param parameters: its ``n_minima``, ``energy_window`` and ``tolerance``.
        """
        frames, known = self._joined(labels)
        # Labels that a search began with may be of other compositions of the same elements.
        alike = np.isin(frames.reduced_formulas, sorted(set(self.frames.reduced_formulas)))
        return choose_finalists(
            self.frames,
            self.spectra,
            self.clusters.representatives,
            frames.select(alike),
            known[alike],
            minima=self.clusters.labels >= 0,
            **parameters,
        )

    def _joined(self, labels: Labels) -> tuple[Frames, FloatArray]:
        parts = [labels[name] for name in sorted(labels)]
        spectra = [np.empty((0, self.spectra.shape[1])), *(self.spectra_of(part) for part in parts)]
        return Frames.concatenate(parts), np.concatenate(spectra)
