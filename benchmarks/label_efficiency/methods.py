"""What is compared: overrides of the protocol ``fast`` for each method and kind of pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiida_prospect.workflows.protocols import merge
from benchmarks.label_efficiency.settings import SearchSettings
from benchmarks.label_efficiency.systems import System
from benchmarks.training_cost.rows import SE_ATTEN

PROTOCOL = 'fast'
BASELINE = 'baseline'
TRANSFER = 'transfer'
# Crystals of the small pools, by system; others have what the protocol has.
POOL_SIZES = {'si16': 200}
PROPORTIONS: dict[str, dict[str, float]] = {
    'mixed': {},
    'p1': {'symmetric': 0.0, 'p1': 1.0, 'airss': 0.0},
    'symmetric': {'symmetric': 1.0, 'p1': 0.0, 'airss': 0.0},
}
# The same for all methods with small cycles, so that only the choice of labels differs.
BUDGET = {'max_labels': 300, 'max_cycles': 40}
_WIDE = 4.0


@dataclass(frozen=True)
class Method:
    """A way to search.

    :param words: for the table.
    :param overrides: of the protocols, by section.
    :param published: whether the pool is that of the reference algorithm.
    :param start: row of :mod:`benchmarks.training_cost` whose network trainings begin with.
    """

    words: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    published: bool = False
    start: str = ''

    def settings(self, system: System, pool: str, seed: int) -> SearchSettings:
        """Return all numbers of a search.

        :param pool: of :data:`PROPORTIONS`.
        """
        changes: dict[str, Any] = {'search': {'budget': BUDGET}, 'pool': {'proportions': PROPORTIONS[pool]}}
        if system.name in POOL_SIZES:
            changes['pool']['n_structures'] = POOL_SIZES[system.name]
        changes = merge(changes, self.overrides)
        if self.published:
            changes = merge(changes, {'pool': system.surface.published})
            if 'O' in system.composition:
                changes = merge(changes, {'selection': {'selection': {'n_initial': 200, 'n_select': 200}}})
                changes = merge(changes, {'search': {'budget': {'max_labels': 3000}}})
        return SearchSettings.from_protocol(system.composition, protocol=PROTOCOL, overrides=changes, seed=seed)


def _strategy(name: str) -> dict[str, Any]:
    return {'selection': {'selection': {'strategy': name}}}


def _with(words: str, **overrides: Any) -> Method:
    return Method(words, overrides)


def _until(n_explored: int, max_cycles: int) -> Method:
    return _with(
        f'prospect, until {n_explored} new crystals changed nothing',
        search={'budget': {'max_cycles': max_cycles}},
        selection={'convergence': {'n_explored': n_explored}},
    )


# Hessmann et al. (2025), as far as the code has it; what departs is said in `DEPARTURES`.
_PUBLISHED = {
    'pool': {'n_structures': 1000, 'push': None, 'lengths': [3.0, 15.0], 'angles': [60.0, 120.0]},
    'search': {
        'budget': {'max_labels': 1500, 'max_cycles': 15},
        # What this package takes for a hole of the ensemble is a candidate there.
        'hole_depth': None,
        'refill': {'max_new': 0},
        'final': {'n_minima': 10, 'energy_window': 1.0},
    },
    'selection': {
        'selection': {'strategy': 'laqa', 'n_initial': 100, 'n_select': 100},
        # Only that the ten lowest clusters fall no further counts: any label confirms any minimum.
        'convergence': {'n_clusters': 10, 'max_fall': 0.01, 'patience': 1, 'max_error': 1e6, 'tolerance': _WIDE},
    },
    'explore': {
        'parameters': {
            'max_steps': 300,
            'patience': 20,
            'uncertainty': {'ratio': 0.5, 'floor': 0.0},
            # As wide as can be evaluated.
            'sanity': {'distance': 0.3, 'height': 1.0, 'compression': 0.1, 'expansion': 10.0},
        }
    },
    # Less than the distances in the pools.
    'label': {'prechecks': {'distance': 0.4}},
    'train': {
        'cleaning': {
            'min_distance': None,
            'max_force': 500,
            'energy_outlier': None,
            'force_outlier': None,
            'force_excess': {'sigmas': 3, 'at_least': 0.0},
            'stress_excess': {'sigmas': 3, 'at_least': 0.0},
        }
    },
}
DEPARTURES = (
    'an ensemble of two ML-POD potentials, with ZBL at short distances and low energies weighted more, in place of '
    'five networks',
    'clusters of this package in place of DBSCAN where the end of a search is judged, and DBSCAN on fingerprints in '
    'place of features of a network where candidates are chosen',
    'what lies nearer than 0.4 times the sum of covalent radii is not labelled, and a relaxation ends below 0.3 times '
    'it or a tenth of the volume',
    'a crystal that was labelled already is not labelled again',
)

# The network that the pretrained one has, and as few labels at a time as with ML-POD, so that savings can be seen.
_NETWORK = {
    'train': {
        'force_field': 'deepmd',
        'member': {'descriptor': SE_ATTEN, 'compression': None, 'cold': {'steps': 5000}, 'warm': {'steps': 2000}},
    }
}

METHODS: dict[str, Method] = {
    'prospect': Method('prospect'),
    'prospect-1000': Method('prospect, pool of 1000', {'pool': {'n_structures': 1000}}),
    # The first as many as in `balanced`: where few crystals lead to the ground state, those of `fast` may miss it.
    'prospect-patient': _until(1000, max_cycles=100),
    'prospect-thorough': _until(5000, max_cycles=200),
    'random': Method('random selection', _strategy('random')),
    'uncertainty': Method('uncertainty', _strategy('uncertainty')),
    'laqa': Method('laqa, small cycles', _strategy('laqa')),
    # In the reference paper large cells get no labels but in the final relaxations; here few.
    TRANSFER: Method(
        'prospect, begun with labels of the small cell',
        {'search': {'budget': {'max_labels': 36, 'max_cycles': 4}}, 'selection': {'selection': {'n_select': 12}}},
    ),
    'laqa-published': Method('laqa as published', _PUBLISHED, published=True),
    'network': Method('prospect, networks from scratch', _NETWORK),
    'network-pretrained': Method('prospect, networks pretrained on other salts', _NETWORK, start='pretrained_salts'),
}


def _option(**values: Any) -> dict[str, Any]:
    return {'selection': {'selection': {'options': {'prospect': values}}}}


_NO_CLEANING = dict.fromkeys(
    ('min_distance', 'max_force', 'energy_outlier', 'force_outlier', 'force_excess', 'stress_excess')
)
# Each changes one thing of `prospect`; the default has two members, half of the free labels rattled, ZBL, cleaning.
ABLATIONS: dict[str, Method] = {
    'members-3': _with('three members', train={'n_models': 3}),
    'members-4': _with('four members', train={'n_models': 4}),
    'members-5': _with('five members', train={'n_models': 5}),
    'no-noise': Method('no label displaced', _option(rattled_share=0.0)),
    'all-noise': Method('all free labels displaced', _option(rattled_share=1.0)),
    'small-noise': Method('displaced by 0.05 Å', _option(displacement=0.05, initial_displacement=0.05)),
    'no-repulsion': _with('no ZBL', train={'member': {'repulsion': None}}),
    'no-cleaning': _with('no cleaning', train={'cleaning': _NO_CLEANING}),
    'no-refill': _with('copies stay in the pool', search={'refill': {'max_new': 0}}),
    'no-clusters': _with('every frame its own cluster', selection={'clusters': {'tolerance': 1e-6, 'n_matched': 0}}),
    'initial-6': _with('six labels at first', selection={'selection': {'n_initial': 6}}),
    'initial-16': _with('sixteen labels at first', selection={'selection': {'n_initial': 16}}),
    'cycles-12': _with('twelve labels a cycle', selection={'selection': {'n_select': 12}}),
    'cycles-3': _with('three labels a cycle', selection={'selection': {'n_select': 3}}),
}


def method_of(name: str) -> Method:
    """Return a method or an ablation.

    :raises ValueError: if there is none of that name.
    """
    known = {**METHODS, **ABLATIONS}
    if name not in known:
        raise ValueError(f'`{name}` is no method; choose one of: {", ".join([BASELINE, *known])}')
    return known[name]
