"""Input file of DeePMD-kit's training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from ase.data import atomic_numbers

from aiida_prospect.common.enums import Backend
from aiida_prospect.methods.zbl import switching_range

TABLE_FILE = 'repulsion.txt'
CHECKPOINT = 'checkpoints/model.ckpt'
CURVE_FILE = 'lcurve.out'
TRAINING_FOLDER = 'training'
VALIDATION_FOLDER = 'validation'
STARTS = ('cold', 'warm')
REQUIRED = ('descriptor', 'fitting', 'learning_rate', 'loss', 'steps', 'batch_size')

EMBEDS_TYPES = ('dpa1', 'se_atten', 'se_atten_v2', 'dpa2', 'dpa3', 'se_e3_tebd')
COUNTERPARTS = {
    'se_e2_a': {'type': 'dpa1', 'attn_layer': 0, 'tebd_dim': 8, 'tebd_input_mode': 'strip'},
    'se_e3': {'type': 'se_e3_tebd', 'tebd_dim': 8, 'tebd_input_mode': 'strip'},
}


def type_map_of(elements: Iterable[str]) -> list[str]:
    """Return elements by atomic number, each once.

    :raises ValueError: if one is no element.
    """
    unknown = sorted(set(elements) - set(atomic_numbers))
    if unknown:
        raise ValueError(f'no chemical elements: {", ".join(unknown)}')
    return sorted(set(elements), key=atomic_numbers.__getitem__)


def seeds(seed: int) -> dict[str, int]:
    """Derive the seeds that the input asks for from one."""
    names = ('descriptor', 'fitting', 'data')
    return {name: (1000003 * seed + 7919 * index) % 2**31 for index, name in enumerate(names)}


def build_input(
    parameters: Mapping[str, Any],
    type_map: Sequence[str],
    *,
    seed: int,
    validation: bool,
    warm: bool = False,
) -> dict[str, Any]:
    """Build the input.

    :param parameters: ``descriptor``, ``fitting``, ``learning_rate`` and ``loss`` in DeePMD-kit's own words; ``steps``;
        ``batch_size`` (frames, or ``auto:N`` for at least N atoms); ``repulsion`` with ``inner`` and ``outer``, see
        :func:`~aiida_prospect.methods.zbl.switching_range`, absent or null for none; ``overrides`` merged over the
        result. What stands under ``cold`` and ``warm`` holds only for a training from scratch or from an earlier
        potential.
    :param type_map: elements in the order of their types.
    :param validation: whether there are validation data.
    :param warm: whether the training starts from an earlier potential.
    :raises ValueError: if a parameter is missing.
    """
    parameters = for_start(parameters, warm=warm)
    missing = [key for key in REQUIRED if key not in parameters]
    if missing:
        raise ValueError(f'the training parameters lack: {", ".join(missing)}')
    seed_of, steps = seeds(seed), int(parameters['steps'])
    descriptor = deepcopy(dict(parameters['descriptor']))
    for index, item in enumerate(descriptor.get('list', [descriptor])):
        item['seed'] = seed_of['descriptor'] + index
    model: dict[str, Any] = {
        'type_map': list(type_map),
        'descriptor': descriptor,
        'fitting_net': {**parameters['fitting'], 'seed': seed_of['fitting']},
    }
    if parameters.get('repulsion'):
        inner, outer = switching_range(type_map, **parameters['repulsion'])
        model |= {'use_srtab': TABLE_FILE, 'smin_alpha': 0.1, 'sw_rmin': inner, 'sw_rmax': outer}
    training: dict[str, Any] = {
        'training_data': {'systems': TRAINING_FOLDER, 'batch_size': parameters['batch_size']},
        'numb_steps': steps,
        'seed': seed_of['data'],
        'disp_file': CURVE_FILE,
        'disp_freq': max(1, min(100, steps // 20)),
        'save_freq': max(1, min(1000, steps // 4)),
        'save_ckpt': CHECKPOINT,
        'max_ckpt_keep': 2,
        'disp_training': True,
    }
    if validation:
        training['validation_data'] = {'systems': VALIDATION_FOLDER, 'batch_size': 1, 'numb_btch': 3}
    result: dict[str, Any] = {
        'model': model,
        'learning_rate': dict(parameters['learning_rate']),
        'loss': dict(parameters['loss']),
        'training': training,
    }
    return _merge(result, parameters.get('overrides') or {})


def for_start(parameters: Mapping[str, Any], *, warm: bool) -> dict[str, Any]:
    """Return the parameters that hold for a training from scratch, or from an earlier potential."""
    common = {key: value for key, value in parameters.items() if key not in STARTS}
    return _merge(deepcopy(common), parameters.get('warm' if warm else 'cold') or {})


def gentler(parameters: Mapping[str, Any], factor: float) -> dict[str, Any]:
    """Return parameters with the initial learning rates multiplied by a factor."""
    changed = deepcopy(dict(parameters))
    for part in (changed, *(changed[start] for start in STARTS if changed.get(start))):
        rate = part.get('learning_rate', {})
        if 'start_lr' in rate:
            rate['start_lr'] = max(rate['start_lr'] * factor, rate.get('stop_lr', 0))
    return changed


def with_larger_batches(parameters: Mapping[str, Any], factor: int) -> dict[str, Any]:
    """Return parameters with a multiple of the batch size."""
    changed = deepcopy(dict(parameters))
    for part in (changed, *(changed[start] for start in STARTS if changed.get(start))):
        size = part.get('batch_size')
        if isinstance(size, int):
            part['batch_size'] = size * factor
        elif size is not None:
            kind, _, atoms = str(size).partition(':')
            part['batch_size'] = f'{kind}:{int(atoms or 32) * factor}'
    return changed


def cutoff_of(descriptor: Mapping[str, Any]) -> float:
    """Return the cut-off radius of a descriptor, the largest one of a hybrid, Å.

    :raises ValueError: if it has none.
    """
    if 'list' in descriptor:
        return max(cutoff_of(item) for item in descriptor['list'])
    for source in (descriptor, descriptor.get('repflow', {}), descriptor.get('repinit', {})):
        for key in ('rcut', 'e_rcut'):
            if key in source:
                return float(source[key])
    raise ValueError(f'the descriptor has no cut-off radius `rcut`: {sorted(descriptor)}')


def adapt_to_backend(settings: Mapping[str, Any], backend: Backend) -> dict[str, Any]:
    """Return the input that a backend understands.

    PyTorch combines a table of repulsions only with descriptors that embed the types; those that have such a
    counterpart are replaced by it: ``se_e2_a`` by ``dpa1`` without attention, ``se_e3`` by ``se_e3_tebd``.

    :raises ValueError: if there is no counterpart.
    """
    adapted = deepcopy(dict(settings))
    model = adapted['model']
    if backend is Backend.PYTORCH and 'use_srtab' in model:
        descriptor = model['descriptor']
        if 'list' in descriptor:
            descriptor['list'] = [_with_type_embedding(item) for item in descriptor['list']]
        else:
            model['descriptor'] = _with_type_embedding(descriptor)
    return adapted


def selected_neighbours(settings: Mapping[str, Any]) -> list[Any]:
    """Return the numbers of neighbours in a complete input, one entry for each descriptor; ``None`` for DPA-2 and 3."""
    descriptor = settings['model']['descriptor']
    return [item.get('sel') for item in descriptor.get('list', [descriptor])]


def with_neighbours(settings: Mapping[str, Any], sel: Sequence[Any]) -> dict[str, Any]:
    """Put in what :func:`selected_neighbours` gave, so that the network has the shape of an earlier one."""
    changed = deepcopy(dict(settings))
    descriptor = changed['model']['descriptor']
    for item, value in zip(descriptor.get('list', [descriptor]), sel, strict=True):
        if value is not None:
            item['sel'] = value
    return changed


def _with_type_embedding(descriptor: Mapping[str, Any]) -> dict[str, Any]:
    kind, rest = descriptor['type'], {key: value for key, value in descriptor.items() if key != 'type'}
    if kind in EMBEDS_TYPES:
        return dict(descriptor)
    if kind not in COUNTERPARTS:
        raise ValueError(
            f'with the PyTorch backend the descriptor `{kind}` cannot be combined with a repulsion; use one of '
            f'{", ".join((*COUNTERPARTS, *EMBEDS_TYPES))} or leave out `repulsion`'
        )
    if isinstance(rest.get('sel'), list):
        rest['sel'] = sum(rest['sel'])
    return {**rest, **COUNTERPARTS[kind]}


def _merge(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in changes.items():
        nested = isinstance(value, Mapping) and isinstance(base.get(key), dict)
        base[key] = _merge(base[key], value) if nested else deepcopy(value)
    return base
