"""The result of a search: distinct minima, ranked by energy, analysed and compared with what is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from ase.formula import Formula
from pymatgen.core import Structure

from aiida_prospect.common.enums import LabelStatus, RelaxStatus
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.matching import (
    MatchSettings,
    compare_with_references,
    displacement,
    formula_units,
    reduced_composition,
    structure_of,
    symmetry,
)

RELAXED = (LabelStatus.OK.value, RelaxStatus.CONVERGED.value)
RESOLUTION = 1e-6


def rank_minima(
    relaxed: Frames,
    references: Mapping[str, Frames] | None = None,
    settings: MatchSettings | None = None,
    statuses: Sequence[str] = RELAXED,
) -> tuple[Frames, dict[str, Any]]:
    """Find the distinct crystals among relaxed frames and rank them.

    Each frame, the lowest first, joins the lowest crystal that it is the same as. Energies are compared within a
    reduced composition only; the rank goes by the energy above the best of the same composition.

    :param relaxed: with ``energy``; where ``status`` is known, only frames with one of ``statuses`` can be minima.
    :param references: known crystals, one frame each, by name.
    :return: the lowest frame of each minimum as it was computed, its index in ``relaxed`` as ``source``; and a report
        for JSON: ``minima`` in the same order, with a ``reason`` if the relaxation did not converge, ``failed`` (frames
        that are no minima, and why), ``references`` and ``settings``. Energies in eV, lengths in Å.
    :raises ValueError: if no energies are known.
    """
    settings, references = settings or MatchSettings(), references or {}
    energy = relaxed.known('energy') / relaxed.n_atoms
    failed = _failures(relaxed, energy, statuses)
    usable = np.setdiff1d(np.arange(len(relaxed)), list(failed))
    structures = {int(i): structure_of(_bare(relaxed[int(i)])) for i in usable}
    groups = _group(relaxed, energy, structures, settings)
    above = _above_best(relaxed, energy, list(groups))
    ranked = sorted(groups, key=lambda i: (round(above[i] / RESOLUTION), len(structures[i]), i))
    minima = [
        {
            'energy_above_best': above[i],
            **_describe(relaxed, i, structures[i], settings),
            'references': compare_with_references(_bare(relaxed[i]), references, settings),
            'members': [{**_name(relaxed, j), 'energy_per_atom': float(energy[j])} for j in groups[i]],
        }
        for i in ranked
    ]
    report = {
        'minima': minima,
        'failed': [{**_name(relaxed, i), 'reason': reason} for i, reason in failed.items()],
        'references': [_describe_reference(name, frame, minima, settings) for name, frame in references.items()],
        'settings': asdict(settings),
    }
    return relaxed.select(ranked).replace(source=ranked), report


def _failures(relaxed: Frames, energy: np.ndarray, statuses: Sequence[str]) -> dict[int, str]:
    failed: dict[int, str] = {}
    for i in range(len(relaxed)):
        status = '' if relaxed.status is None else str(relaxed.status[i])
        reason = '' if relaxed.reason is None else str(relaxed.reason[i])
        if status and status not in statuses:
            failed[i] = reason or f'the relaxation ended with status `{status}`'
        elif not np.isfinite(energy[i]):
            failed[i] = reason or 'the energy is not known'
    return failed


def _bare(frame: Frames) -> Frames:
    return Frames(frame.numbers, frame.offsets, frame.positions, frame.cells)


def _group(
    relaxed: Frames, energy: np.ndarray, structures: Mapping[int, Structure], settings: MatchSettings
) -> dict[int, list[int]]:
    """Return the members of each minimum, by the frame that represents it."""
    volume = relaxed.volumes / relaxed.n_atoms
    kind = {i: reduced_composition(relaxed[i].numbers) for i in structures}
    groups: dict[int, list[int]] = {}
    # Among equal energies the smaller cell represents the crystal, whatever the order of the frames.
    for i in sorted(structures, key=lambda i: (round(float(energy[i]) / RESOLUTION), len(structures[i]), i)):
        for j in groups:
            if (
                kind[i] == kind[j]
                and energy[i] - energy[j] <= settings.energy_tolerance
                and abs(np.log(volume[i] / volume[j])) <= np.log1p(settings.volume_tolerance)
                and displacement(structures[j], structures[i], settings) is not None
            ):
                groups[j].append(i)
                break
        else:
            groups[i] = [i]
    return groups


def _above_best(relaxed: Frames, energy: np.ndarray, indices: Sequence[int]) -> dict[int, float]:
    kind = {i: reduced_composition(relaxed[i].numbers) for i in indices}
    best = {name: min(float(energy[i]) for i in indices if kind[i] == name) for name in set(kind.values())}
    return {i: float(energy[i]) - best[kind[i]] for i in indices}


def _name(relaxed: Frames, i: int) -> dict[str, Any]:
    return {
        'index': i,
        'origin': '' if relaxed.origin is None else str(relaxed.origin[i]),
        'status': '' if relaxed.status is None else str(relaxed.status[i]),
    }


def _describe(relaxed: Frames, i: int, structure: Structure, settings: MatchSettings) -> dict[str, Any]:
    frame = relaxed[i]
    return {
        **_name(relaxed, i),
        'reason': '' if frame.reason is None else str(frame.reason[0]),
        **_describe_crystal(frame, structure, settings),
        'energy_per_atom': float(frame.known('energy')[0] / len(frame.numbers)),
        'evaluations': None if frame.steps is None or frame.steps[0] < 0 else int(frame.steps[0]),
    }


def _describe_crystal(frame: Frames, structure: Structure, settings: MatchSettings) -> dict[str, Any]:
    found = symmetry(structure, settings.symprec)
    unit = {chemical_symbols[number]: count for number, count in reduced_composition(frame.numbers)}
    return {
        'formula': Formula.from_dict(unit).format('metal'),
        'n_atoms': len(frame.numbers),
        'n_formula_units': formula_units(frame.numbers),
        'volume_per_atom': float(frame.volumes[0]) / len(frame.numbers),
        'space_group_number': found.number,
        'space_group_symbol': found.symbol,
        'lattice': found.lattice,
    }


def _describe_reference(
    name: str, frame: Frames, minima: Sequence[Mapping[str, Any]], settings: MatchSettings
) -> dict[str, Any]:
    ranks = [rank for rank, item in enumerate(minima) if any(match['name'] == name for match in item['references'])]
    return {'name': name, **_describe_crystal(frame, structure_of(_bare(frame)), settings), 'found_as': ranks}
