"""Fingerprints of crystals that do not depend on how a crystal is written down.

A fingerprint is the SOAP power spectrum (Bartók, Kondor and Csányi, Phys. Rev. B 87, 184115 (2013); DScribe 2) averaged
over the atoms and normalised to one, so it is the same for every rotation, order of atoms and choice of cell.

What a Euclidean distance means was calibrated with the default settings on silicon (diamond, lonsdaleite, 4H, β-tin,
simple hexagonal, bcc, fcc, hcp, simple cubic, BC8, ST12, clathrates I and II) and NaCl (rock salt, CsCl, zinc blende,
wurtzite, NiAs):

===========================================================  =================
the same crystal, every atom displaced by σ = 0.02 Å          0.002, at most 0.007
the same crystal, σ = 0.05 Å                                  0.012, at most 0.026
the same crystal, σ = 0.1 Å                                   0.04, at most 0.09
the same crystal, volume changed by 1 % / 3 %                 0.012 / 0.036 (NaCl 0.016 / 0.047)
clathrate I and II, the nearest two phases                    0.020
diamond and 4H / lonsdaleite and 4H                           0.044 / 0.058
zinc blende and wurtzite                                      0.073
bcc and fcc / BC8 and ST12 / fcc and hcp                      0.079 / 0.086 / 0.095
two phases, median                                            0.43
===========================================================  =================

A relaxation that ends at 0.05 eV/Å leaves displacements of about 0.01 Å and a volume right to a fraction of a per cent.
The default :data:`TOLERANCE` of 0.02 is three times the first line, and half the distance of polytypes, which differ
only in the third shell. Clathrates of silicon lie at the tolerance: there the energy and the structure matcher decide
(:mod:`aiida_prospect.methods.clusters`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from dscribe.descriptors import SOAP
from sklearn.metrics import pairwise_distances_argmin_min

from aiida_prospect.common.frames import FloatArray, Frames, IntArray

TOLERANCE = 0.02
MIN_VOLUME_PER_ATOM = 2.0  # Å³; diamond has 5.7, and a collapsed cell would have ten thousands of neighbours.


@dataclass(frozen=True)
class FingerprintSettings:
    """How fine a fingerprint is.

    :param cutoff: radius that an atom sees, Å; neighbours fade out towards it.
    :param n_max: radial functions; the calibration holds for 8 with one or two elements.
    :param l_max: largest angular momentum.
    :param sigma: width of the Gaussian on a neighbour, Å.
    :param max_features: with more elements the radial basis shrinks until the fingerprint has no more numbers than
        this.
    """

    cutoff: float = 6.0
    n_max: int = 8
    l_max: int = 6
    sigma: float = 0.4
    max_features: int = 1200

    def radial(self, n_elements: int) -> int:
        """Return the number of radial functions used for so many elements."""
        for n_max in range(self.n_max, 2, -1):
            size = n_elements * n_max
            if size * (size + 1) // 2 * (self.l_max + 1) <= self.max_features:
                return n_max
        return 2


def fingerprints(
    frames: Frames, elements: Sequence[str] | None = None, settings: FingerprintSettings | None = None
) -> FloatArray:
    """Return the fingerprints of frames.

    :param elements: that the fingerprints know of; those of two sets compare only if these are the same. By default the
        elements of the frames.
    :return: (n_frames, d); NaN for frames with other elements and for collapsed ones (less than 2 Å³ per atom).
    """
    settings = settings or FingerprintSettings()
    elements = sorted(elements or frames.elements)
    if not elements:
        return np.empty((0, 0))
    soap = _descriptor(tuple(elements), settings)
    result = np.full((len(frames), soap.get_number_of_features()), np.nan)
    dense = frames.volumes / frames.n_atoms < MIN_VOLUME_PER_ATOM
    for index, atoms in enumerate(frames.to_atoms()):
        if dense[index] or not set(atoms.symbols) <= set(elements):
            continue
        spectrum = soap.create(atoms)
        result[index] = spectrum / np.linalg.norm(spectrum)
    return result


def _descriptor(elements: tuple[str, ...], settings: FingerprintSettings) -> Any:
    return SOAP(
        species=list(elements),
        r_cut=settings.cutoff,
        n_max=settings.radial(len(elements)),
        l_max=settings.l_max,
        sigma=settings.sigma,
        weighting={'function': 'poly', 'r0': settings.cutoff, 'c': 1.0, 'm': 0.5},
        average='outer',
        periodic=True,
    )


def project(fingerprints: FloatArray, dimension: int = 8) -> FloatArray:
    """Return the principal components of fingerprints, in which distances are at most the true ones.

    :param fingerprints: (n, d), n at least one.
    :return: (n, min(d, dimension)).
    """
    centred = fingerprints - fingerprints.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    shadows: FloatArray = centred @ axes[:, ::-1][:, :dimension]
    return shadows


def distances_to(fingerprints: FloatArray, one: FloatArray) -> FloatArray:
    """Return the (n,) Euclidean distances of (n, d) fingerprints to a (d,) one."""
    difference: FloatArray = np.linalg.norm(fingerprints - one, axis=1)
    return difference


def nearest(fingerprints: FloatArray, others: FloatArray) -> tuple[FloatArray, IntArray]:
    """Find for each fingerprint the nearest one of another set.

    :param fingerprints: (n, d), :param others: (m, d); rows with NaN are near to nothing.
    :return: (n,) distances, infinite where there is none, and (n,) indices into the others, −1 where there is none.
    """
    distance = np.full(len(fingerprints), np.inf)
    index = np.full(len(fingerprints), -1, dtype=np.int64)
    mine = np.flatnonzero(np.isfinite(fingerprints).all(axis=1)) if fingerprints.size else np.empty(0, int)
    theirs = np.flatnonzero(np.isfinite(others).all(axis=1)) if others.size else np.empty(0, int)
    if len(mine) and len(theirs):
        found, _ = pairwise_distances_argmin_min(fingerprints[mine], others[theirs])
        index[mine] = theirs[found]
        # The quick formula |a|² + |b|² − 2ab loses digits where a ≈ b, which is where they matter.
        distance[mine] = np.linalg.norm(fingerprints[mine] - others[index[mine]], axis=1)
    return distance, index
