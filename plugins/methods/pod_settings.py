"""From the parameters of a protocol to the settings of a fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiida_prospect.methods.pod_fit import FitSettings
from aiida_prospect.methods.pod_model import DESCRIPTOR_DEFAULTS, Repulsion, descriptor_text

# What others than the fit read: which elements there are, and how the frames are divided.
ELSEWHERE = ('type_map', 'validation', 'augmentation')
KNOWN = ('descriptor', 'repulsion', 'fit', *ELSEWHERE)


@dataclass(frozen=True)
class PodSettings:
    """Descriptor, repulsion and fit."""

    descriptor: Mapping[str, Any]
    repulsion: Repulsion | None
    fit: FitSettings

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> PodSettings:
        """Read the parameters.

        :param parameters: ``descriptor`` in LAMMPS' own words, ``repulsion`` with ``inner`` and ``outer`` or null,
            ``fit`` with the fields of :class:`~aiida_prospect.methods.pod_fit.FitSettings`.
        :raises ValueError: if a parameter is unknown or impossible.
        :raises KeyError: if one is missing.
        :raises TypeError: if the fit has other fields.
        """
        unknown = sorted(set(parameters) - set(KNOWN))
        if unknown:
            raise ValueError(f'unknown parameters: {", ".join(unknown)}; known: {", ".join(KNOWN)}')
        repulsion = parameters.get('repulsion')
        settings = cls(
            dict(parameters['descriptor']),
            Repulsion(**repulsion) if repulsion else None,
            FitSettings(**parameters['fit']),
        )
        settings.descriptor_text(['Si'])
        return settings

    @property
    def cutoff(self) -> float:
        """Å."""
        return float(self.descriptor.get('rcut', DESCRIPTOR_DEFAULTS['rcut']))

    def descriptor_text(self, type_map: Sequence[str]) -> str:
        """Return the file with which LAMMPS makes the descriptors."""
        return descriptor_text(self.descriptor, type_map)
