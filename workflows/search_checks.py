"""What is wrong with the settings of a search, before anything is submitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida_prospect.data.structures import frames_of
from aiida_prospect.methods.clusters import ClusterSettings
from aiida_prospect.methods.convergence import ConvergenceSettings
from aiida_prospect.methods.fingerprints import FingerprintSettings
from aiida_prospect.methods.matching import MatchSettings
from aiida_prospect.methods.pool.seeds import generator_for
from aiida_prospect.methods.pool.spec import PoolSpec
from aiida_prospect.methods.pool.structures import check_own
from aiida_prospect.methods.refill import check_prefix
from aiida_prospect.methods.selection.candidates import check_strategy


def check_pool(pool: Mapping[str, Any]) -> None:
    """Check what a pool is made of.

    :param pool: the namespace of that name.
    :raises ValueError: with the parameter, or the structure, that will not do.
    """
    values = pool['parameters'].get_dict()
    check_prefix(values.get('origin_prefix', ''))
    generator_for(values.pop('seed', None), values.get('origin_prefix', ''))
    spec = PoolSpec.from_parameters(values)
    for name, node in pool.get('structures', {}).items():
        try:
            check_own(frames_of(node), spec.composition)
        except ValueError as error:
            raise ValueError(f'the structure `{name}` cannot be in the pool: {error}') from error


def check_folders(label: Mapping[str, Any]) -> None:
    """Refuse a policy for the folders of labels alone: the search removes them too when a labelling has ended.

    :param label: inputs of the labelling, or overrides of its protocol.
    :raises ValueError: with where the policy belongs.
    """
    if 'clean_workdir' in label:
        raise ValueError(
            '`label.clean_workdir`: the search decides what becomes of the folders of all its jobs, also of those of '
            'labels; give `clean_workdir` to the search itself (section `search` of the overrides)'
        )


def check_steps(parameters: Mapping[str, Any], n_given: int) -> None:
    """Check how a search clusters, selects, stops, and ranks what it found.

    :param parameters: of a search.
    :param n_given: usable labels that it begins with.
    :raises ValueError: with the section and the parameter that will not do.
    """
    clusters = dict(parameters['clusters'])
    final, selection, least = parameters['final'], parameters['selection'], parameters['min_usable']
    strategy = selection['strategy']
    options = selection['options'].get(strategy, {})
    for section, check in (
        ('clusters.fingerprint', lambda: FingerprintSettings(**clusters.pop('fingerprint', {}))),
        ('clusters', lambda: ClusterSettings(**clusters)),
        (f'selection.options.{strategy}', lambda: check_strategy(strategy, options)),
        ('convergence', lambda: ConvergenceSettings(**parameters['convergence'])),
        ('ranking', lambda: MatchSettings.from_dict(parameters['ranking'])),
    ):
        try:
            check()
        except (TypeError, ValueError) as error:
            raise ValueError(f'`{section}`: {error}') from error
    for name, value in (
        ('selection.n_select', selection['n_select']),
        ('final.n_minima', final['n_minima']),
    ):
        if value < 1:
            raise ValueError(f'`{name}` is {value}, it must be at least 1')
    if final['energy_window'] < 0:
        raise ValueError(f'`final.energy_window` is {final["energy_window"]}, it must not be negative')
    if selection['n_initial'] + n_given < least:
        raise ValueError(
            f'`selection.n_initial` is {selection["n_initial"]}, but with fewer than {least} usable labels '
            '(`min_usable`) a search ends at once'
        )


def check_references(references: Mapping[str, Any]) -> None:
    """Check that minima can be compared with these.

    :raises ValueError: with the name of one that is no crystal.
    """
    for name, node in references.items():
        try:
            frames_of(node)
        except ValueError as error:
            raise ValueError(f'the reference `{name}` will not do: {error}') from error
