"""From the description of potentials that travels with a job to an ensemble."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from aiida_prospect.common.enums import Backend
from aiida_prospect.methods.evaluators.ase import AseEvaluator
from aiida_prospect.methods.evaluators.base import Evaluator
from aiida_prospect.methods.evaluators.deepmd import DeepmdEvaluator
from aiida_prospect.methods.evaluators.ensemble import Ensemble
from aiida_prospect.methods.evaluators.neighbours import Neighbourhoods
from aiida_prospect.methods.evaluators.pod import PodEvaluator, mean_of

CALCULATOR_GROUP = 'aiida_prospect.calculators'
# Where the package travels with the job instead of being installed, there are no entry points.
BUILT_IN_CALCULATORS = {
    'lammps': 'aiida_prospect.methods.lammps_potentials:calculator',
    'pw': 'aiida_prospect.methods.pw_calculator:PwCalculator',
}


def load_ensemble(specifications: Sequence[Mapping[str, Any]], folder: Path) -> Ensemble:
    """Load all members.

    :param specifications: as for :func:`load_evaluator`.
    :param folder: that holds the model files.
    :raises ValueError: if there is no member or one is not understood.
    """
    shared = Neighbourhoods()
    members = [load_evaluator(specification, folder, shared) for specification in specifications]
    return Ensemble(members, mean_of(members))


def load_evaluator(
    specification: Mapping[str, Any], folder: Path, neighbourhoods: Neighbourhoods | None = None
) -> Evaluator:
    """Load a potential.

    :param specification: ``backend`` (:class:`~aiida_prospect.common.enums.Backend`); for DeePMD-kit and
        ML-POD ``file`` and ``type_map``, for ASE ``calculator`` and ``arguments`` (keywords).
    :param neighbourhoods: shared with the other members of an ensemble.
    :raises ValueError: if the backend is unknown or a calculator cannot be found.
    :raises FileNotFoundError: if the model file is missing.
    """
    backend = Backend(specification['backend'])
    if backend is Backend.ASE:
        factory = find_calculator(specification['calculator'])
        return AseEvaluator(partial(factory, **(specification.get('arguments') or {})))
    if backend is Backend.POD:
        return PodEvaluator(folder / specification['file'], type_map=specification.get('type_map'))
    return DeepmdEvaluator(
        folder / specification['file'], type_map=specification.get('type_map'), neighbourhoods=neighbourhoods
    )


def find_calculator(name: str) -> Callable[..., Any]:
    """Return what makes an ASE calculator.

    :param name: an entry point of the group ``aiida_prospect.calculators``, or a dotted path:
        ``package.module:factory`` or ``package.module.factory``.
    :raises ValueError: if there is no such thing.
    """
    for entry_point in entry_points(group=CALCULATOR_GROUP, name=name):
        return entry_point.load()
    path = BUILT_IN_CALCULATORS.get(name, name)
    module, _, attribute = path.partition(':') if ':' in path else path.rpartition('.')
    if not module or not attribute:
        known = sorted({entry.name for entry in entry_points(group=CALCULATOR_GROUP)} | set(BUILT_IN_CALCULATORS))
        raise ValueError(f'no calculator `{name}`: give one of {", ".join(known)} or a dotted path `module:factory`')
    try:
        factory = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as exception:
        raise ValueError(f'the calculator `{name}` cannot be loaded: {exception}') from exception
    if not callable(factory):
        raise ValueError(f'`{name}` is a {type(factory).__name__}, not something that makes a calculator')
    return factory
