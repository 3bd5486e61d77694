"""The benchmarks that have a short form, and which way their ratios should go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module


@dataclass(frozen=True)
class Part:
    """A benchmark.

    :param module: with a function ``smoke`` that returns numbers by name.
    :param larger: the numbers that are better when larger.
    :param smaller: those that are better when smaller; others are shown and not judged.
    """

    module: str
    larger: tuple[str, ...] = ()
    smaller: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)

    def run(self) -> dict[str, float]:
        """Run it here."""
        return {name: float(value) for name, value in import_module(self.module).smoke().items()}


PARTS = {
    'relax_throughput': Part(
        'benchmarks.relax_throughput.smoke',
        larger=('rate_over_ase', 'relaxations_over_ase', 'share_of_limit'),
        smaller=('evaluations_over_ase', 'ensemble_over_single', 'pod_ensemble_over_single'),
        words={
            'rate_over_ase': 'evaluations per second in a batch, over ASE one by one',
            'relaxations_over_ase': 'relaxations per second in a batch, over ASE one by one',
            'share_of_limit': 'evaluations per second in a relaxation, over the model alone',
            'evaluations_over_ase': 'evaluations of a relaxation, over those of FIRE of ASE',
            'ensemble_over_single': 'seconds per evaluation of four models, over one',
            'pod_ensemble_over_single': 'the same for models of ML-POD',
        },
    ),
    'label_efficiency': Part(
        'benchmarks.label_efficiency.smoke',
        larger=('found', 'ratio'),
        smaller=('labels',),
        words={
            'labels': 'labels until the ground state of Si8',
            'found': 'found at all (1) or not (0)',
            'evaluations': 'evaluations of random search until then',
            'ratio': 'evaluations of random search, over labels',
        },
    ),
    'training_cost': Part(
        'benchmarks.training_cost.smoke',
        smaller=('pod_per_cold_seconds', 'warm_per_cold_seconds', 'warm_per_cold_error'),
        words={
            'pod_per_cold_seconds': 'seconds of a fit of ML-POD, over a training of a network',
            'warm_per_cold_seconds': 'seconds to the same error, warm over cold start',
            'warm_per_cold_error': 'error after the same steps, warm over cold start',
        },
    ),
}
