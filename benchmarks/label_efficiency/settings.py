"""All numbers of a search, as the work chain takes them from the protocols."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from aiida_prospect.methods.relaxation.settings import RelaxSettings
from aiida_prospect.workflows.protocols import load_protocol, merge

# Sections of overrides and the protocols that they are laid over, as in `SearchWorkChain.get_builder_from_protocol`.
PROTOCOLS = {
    'search': 'search',
    'pool': 'pool',
    'selection': 'selection',
    'label': 'label_calculator',
    'train': 'train_ensemble',
    'explore': 'explore',
}
FORCE_FIELDS = ('pod', 'deepmd')
_RELAXATION = frozenset(field.name for field in fields(RelaxSettings))


@dataclass(frozen=True)
class SearchSettings:
    """The inputs of one search.

    :param seed: of everything that is random.
    :param search: budget, refill, final and ranking.
    :param pool: parameters of ``prospect.generate_pool``, with composition and seed.
    :param selection: of clusters, selection and convergence.
    :param label: prechecks, and how final structures are relaxed.
    :param train: of the ensemble.
    :param member: of one force field.
    :param explore: of the relaxation of the pool.
    """

    seed: int
    search: dict[str, Any]
    pool: dict[str, Any]
    selection: dict[str, Any]
    label: dict[str, Any]
    train: dict[str, Any]
    member: dict[str, Any]
    explore: dict[str, Any]

    @classmethod
    def from_protocol(
        cls,
        composition: Mapping[str, int],
        *,
        protocol: str,
        overrides: Mapping[str, Mapping[str, Any]],
        seed: int,
    ) -> SearchSettings:
        """Take the numbers of a protocol.

        :param overrides: as of the work chain, by section.
        :raises ProtocolError: if the protocol is unknown or an override is misspelt.
        :raises ValueError: if the force field cannot be trained here.
        """
        values = {name: load_protocol(file, protocol, overrides.get(name)) for name, file in PROTOCOLS.items()}
        force_field = values['train']['force_field']
        if force_field not in FORCE_FIELDS:
            raise ValueError(f'the force field is `{force_field}`, expected one of {", ".join(FORCE_FIELDS)}')
        member = load_protocol(f'train_{force_field}', protocol, values['train'].pop('member'))
        values['pool'] |= {'composition': dict(composition), 'seed': seed}
        return cls(seed, member={k: v for k, v in member.items() if k not in ('options', 'escalation')}, **values)

    def relaxation(self, lowest_label: float) -> RelaxSettings:
        """Return how the pool is relaxed.

        :param lowest_label: eV/atom; far below it the ensemble has a hole.
        """
        parameters = {k: v for k, v in self.explore['parameters'].items() if k in _RELAXATION}
        margin = self.search['hole_depth']
        if parameters['sanity']['lowest_energy'] is None and margin is not None and np.isfinite(lowest_label):
            parameters = merge(parameters, {'sanity': {'lowest_energy': lowest_label - margin}})
        return RelaxSettings.from_dict(parameters)
