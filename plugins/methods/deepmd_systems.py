"""Training data as DeePMD-kit reads them: one folder per composition; needs numpy and ASE only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers

from aiida_prospect.common.frames import Frames
from aiida_prospect.common.units import virial_from_stress
from aiida_prospect.methods.evaluators.base import Grouping, right_handed


def write_systems(frames: Frames, folder: Path, type_map: Sequence[str]) -> list[str]:
    """Write labelled frames; those without stress go into folders of their own, without virials.

    :param frames: with energy and forces.
    :param folder: to be made.
    :param type_map: elements in the order of their types.
    :return: the names of the systems' folders.
    :raises ValueError: if an element is not in the type map, or energies or forces are not known for all frames.
    """
    foreign = set(frames.elements) - set(type_map)
    if foreign:
        raise ValueError(f'{", ".join(sorted(foreign))} is not in the type map {", ".join(type_map)}')
    if not (np.all(np.isfinite(frames.known('energy'))) and np.all(np.isfinite(frames.known('forces')))):
        raise ValueError('every frame needs an energy and forces')
    with_stress = np.zeros(len(frames), bool)
    if frames.stress is not None:
        with_stress[:] = np.isfinite(frames.stress).all(axis=(1, 2))
    names = []
    for label, mask in (('', with_stress), ('-without-stress', ~with_stress)):
        part = frames.select(mask)
        for group in Grouping()(part):
            formula = part.select(group.frames[:1]).formulas[0]
            _write_system(part, group.frames, group.atoms, folder / f'{formula}{label}', type_map)
            names.append(f'{formula}{label}')
    return names


def _write_system(
    frames: Frames, members: np.ndarray, atoms: np.ndarray, folder: Path, type_map: Sequence[str]
) -> None:
    index = {atomic_numbers[symbol]: position for position, symbol in enumerate(type_map)}
    (folder / 'set.000').mkdir(parents=True)
    np.savetxt(folder / 'type.raw', [index[number] for number in frames.numbers[atoms[0]]], fmt='%d')
    (folder / 'type_map.raw').write_text('\n'.join(type_map) + '\n')
    count = len(members)
    arrays = {
        'coord': frames.positions[atoms].reshape(count, -1),
        'box': right_handed(frames.cells[members]).reshape(count, 9),
        'energy': frames.known('energy')[members],
        'force': frames.known('forces')[atoms].reshape(count, -1),
    }
    if frames.stress is not None and np.isfinite(frames.stress[members]).all():
        virial = virial_from_stress(frames.stress[members], frames.volumes[members])
        arrays['virial'] = virial.reshape(count, 9)
    for name, array in arrays.items():
        np.save(folder / 'set.000' / f'{name}.npy', array)
