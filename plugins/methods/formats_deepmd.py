"""Frames in the folders of DeePMD-kit: one system for each sequence of elements or, mixed, for each number of atoms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from ase.formula import Formula
from numpy.typing import NDArray

from aiida_prospect.common.enums import LabelStatus
from aiida_prospect.common.frames import PER_ATOM, PER_FRAME, Frames
from aiida_prospect.common.units import stress_from_virial, virial_from_stress

OURS = 'prospect_'
INDEX = 'index'
LABELS = ('energy', 'forces', 'stress')


def write_deepmd(frames: Frames, folder: Path, type_map: Sequence[str], *, mixed: bool) -> None:
    """Write systems of DeePMD-kit; the virial is minus the stress times the volume.

    :param type_map: written to every system as it is; has all elements of the frames.
    :param mixed: frames of equal size but different elements share a system.
    :raises ValueError: if the frames have labels but some of these are not numbers, or a status other than ``ok``.
    """
    from dpdata.formats.deepmd.comp import dump

    refuse_unlabelled(frames)
    for name, indices in _systems(frames, mixed=mixed).items():
        part = frames.select(indices)
        target = folder / name
        dump(str(target), _dpdata(part, type_map, mixed=mixed), set_size=len(part), comp_prec=np.float64)
        for field, value in _beside(part).items():
            np.save(target / 'set.000' / f'{OURS}{field}.npy', value)
        np.save(target / 'set.000' / f'{OURS}{INDEX}.npy', indices)


def refuse_unlabelled(frames: Frames) -> None:
    """Let pass frames with complete labels and frames that have none at all.

    :raises ValueError: that tells how many others there are and which.
    """
    if frames.status is not None:
        _refuse(~np.isin(frames.status, [LabelStatus.OK.value, '']), 'have a status other than `ok`')
    for name in LABELS:
        value = getattr(frames, name)
        if value is None:
            continue
        bad = ~np.isfinite(value).reshape(len(value), -1).all(axis=1)
        if name in PER_ATOM:
            bad = np.isin(np.arange(len(frames)), frames.frame_of_atom[bad])
        _refuse(bad, f'have no `{name}`')
    if frames.energy is None and (frames.forces is not None or frames.stress is not None):
        raise ValueError('frames with forces or stress must have energies to be data for DeePMD-kit')


def _refuse(bad: NDArray[np.bool_], what: str) -> None:
    if bad.any():
        indices = np.flatnonzero(bad)
        listed = ', '.join(map(str, indices[:10])) + (' …' if len(indices) > 10 else '')
        raise ValueError(f'{len(indices)} of {len(bad)} frames {what}: {listed}; select the others first')


def _systems(frames: Frames, *, mixed: bool) -> dict[str, NDArray[np.int64]]:
    groups: dict[Any, list[int]] = {}
    for i, (start, end) in enumerate(zip(frames.offsets[:-1], frames.offsets[1:], strict=True)):
        groups.setdefault(end - start if mixed else frames.numbers[start:end].tobytes(), []).append(i)
    named: dict[str, NDArray[np.int64]] = {}
    for indices in groups.values():
        first = frames.numbers[frames.offsets[indices[0]] : frames.offsets[indices[0] + 1]]
        stem = str(len(first)) if mixed else Formula.from_list([chemical_symbols[n] for n in first]).format('hill')
        name, k = stem, 1
        while name in named:
            # The same elements in another order are another system.
            name, k = f'{stem}-{k}', k + 1
        named[name] = np.array(indices, dtype=np.int64)
    return named


def _dpdata(frames: Frames, type_map: Sequence[str], *, mixed: bool) -> dict[str, Any]:
    n_frames, n_atoms = len(frames), int(frames.n_atoms[0])
    type_of = np.full(len(chemical_symbols), -1)
    type_of[[atomic_numbers[symbol] for symbol in type_map]] = np.arange(len(type_map))
    types = type_of[frames.numbers].reshape(n_frames, n_atoms)
    data: dict[str, Any] = {
        'atom_names': list(type_map),
        'atom_types': np.zeros(n_atoms, dtype=np.int64) if mixed else types[0],
        'cells': frames.cells,
        'coords': frames.positions.reshape(n_frames, n_atoms, 3),
    }
    if mixed:
        data['real_atom_types'] = types
    if frames.energy is not None:
        data['energies'] = frames.energy
    if frames.forces is not None:
        data['forces'] = frames.forces.reshape(n_frames, n_atoms, 3)
    if frames.stress is not None:
        data['virials'] = virial_from_stress(frames.stress, frames.volumes)
    return data


def _beside(frames: Frames) -> dict[str, NDArray[Any]]:
    """Return what DeePMD-kit has no file for, with the number of frames as the first length of every array.

    The stress is among it because it does not follow from the virial to the last bit.
    """
    held = {'numbers', 'positions', 'cells', 'energy', 'forces'}
    fields = {name: v for name, v in frames.arrays().items() if name in {*PER_ATOM, *PER_FRAME} - held}
    n = len(frames)
    return {name: v.reshape(n, len(v) // n, *v.shape[1:]) if name in PER_ATOM else v for name, v in fields.items()}


def read_deepmd(folder: Path, type_map: Sequence[str] | None = None) -> Frames:
    """Read all systems of DeePMD-kit in a folder and below, mixed or not.

    Frames that :func:`write_deepmd` wrote come back in their order, those of others system by system.

    :param type_map: names of the types for systems that have no ``type_map.raw``.
    :raises ValueError: if there is no system, the elements of one are not known, or one is not periodic.
    """
    systems = sorted(path.parent for path in folder.rglob('type.raw'))
    if not systems:
        raise ValueError(f'there is no system of DeePMD-kit, with a `type.raw`, in `{folder}`')
    parts, indices = zip(*(_read_system(system, type_map) for system in systems), strict=True)
    frames = Frames.concatenate(parts)
    if all(index is not None for index in indices):
        order = np.concatenate(indices)
        if np.array_equal(np.sort(order), np.arange(len(frames))):
            frames = frames.select(np.argsort(order))
    return frames


def _read_system(system: Path, type_map: Sequence[str] | None) -> tuple[Frames, NDArray[np.int64] | None]:
    from dpdata.formats.deepmd.comp import to_system_data

    if (system / 'nopbc').exists():
        raise ValueError(f'the system `{system}` is not periodic')
    if type_map is None and not (system / 'type_map.raw').exists():
        raise ValueError(f'the system `{system}` has no `type_map.raw`: the elements of its types must be given')
    sets = sorted(system.glob('set.*'))
    is_labelled = all((path / 'energy.npy').exists() for path in sets)
    data = to_system_data(str(system), type_map=None if type_map is None else list(type_map), labels=is_labelled)
    coords = data['coords']
    types = data.get('real_atom_types', np.tile(data['atom_types'], (len(coords), 1))).astype(int)
    # Types of −1 are there only to make the frames of a mixed system equally long.
    real = types >= 0
    known = {
        'energy': data.get('energies'),
        'forces': data['forces'][real] if 'forces' in data else None,
        'stress': stress_from_virial(data['virials'], _volumes(data['cells'])) if 'virials' in data else None,
    }
    beside = _read_beside(sets)
    index = beside.pop(INDEX, None)
    stress = beside.pop('stress', None)
    if stress is not None and np.array_equal(virial_from_stress(stress, _volumes(data['cells'])), data.get('virials')):
        known['stress'] = stress
    known |= {name: value[real] if name in PER_ATOM else value for name, value in beside.items()}
    frames = Frames(
        numbers=_numbers(data['atom_names'], types[real], system),
        offsets=np.concatenate([[0], np.cumsum(real.sum(axis=1))]),
        positions=coords[real],
        cells=data['cells'],
        **known,
    )
    return frames, index


def _volumes(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.abs(np.linalg.det(cells)))


def _numbers(names: Sequence[str], types: NDArray[np.int64], system: Path) -> NDArray[np.int64]:
    unknown = [name for name in names if name not in chemical_symbols[1:]]
    if unknown:
        raise ValueError(f'`{unknown[0]}` in the type map of `{system}` is no element')
    if np.max(types) >= len(names):
        raise ValueError(f'the system `{system}` has a type {np.max(types)}, but a type map of {len(names)} elements')
    return np.array([atomic_numbers[name] for name in names])[types]


def _read_beside(sets: Sequence[Path]) -> dict[str, NDArray[Any]]:
    """Return the fields that every set has."""
    names = [{path.stem for path in folder.glob(f'{OURS}*.npy')} for folder in sets]
    fields = {name.removeprefix(OURS) for name in set.intersection(*names)}
    return {
        name: np.concatenate([np.load(folder / f'{OURS}{name}.npy', allow_pickle=False) for folder in sets])
        for name in sorted(fields & {INDEX, *PER_ATOM, *PER_FRAME})
    }
