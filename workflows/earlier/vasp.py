"""Earlier calculations of VASP."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from math import pi
from typing import Any

import numpy as np
from aiida import orm

from aiida_prospect.methods.labels_vasp import incar_settings
from aiida_prospect.workflows.earlier.base import EarlierCode, NoLabel, distance_of
from aiida_prospect.workflows.label.potcars import largest_enmax

VASPRUN = 'vasprun.xml'
# A run keeps the plane waves of the cell that it began with; beyond this strain the stress that this causes counts.
LARGEST_STRAIN = 0.02


def outputs(job: orm.CalcJobNode) -> Mapping[str, orm.Data]:
    """Return what a label is made of: the last structure of a run, and what was computed for it.

    aiida-vasp by itself parses the energy without the entropy of the smearing only. Then the free energy is read from
    the file that VASP wrote, if that was kept.

    :raises NoLabel: if forces or the free energy are missing, or the cell has become another one.
    """
    found = job.outputs
    misc = found.misc.get_dict() if 'misc' in found else {}
    if misc.get('forces') is None or misc.get('stress') is None:
        raise NoLabel('it has no forces or no stress')
    structure = found.structure if 'structure' in found else job.inputs.structure
    if strain_between(job.inputs.structure.cell, structure.cell) > LARGEST_STRAIN:
        raise NoLabel('its cell has changed, but not its plane waves: label the last structure once more')
    nodes = {'structure': structure, 'misc': found.misc}
    if 'energy_free' in misc.get('total_energies', {}):
        return nodes
    if 'retrieved' not in found or VASPRUN not in found.retrieved.base.repository.list_object_names():
        raise NoLabel(f'it has no free energy (`energy_free`), and {VASPRUN} was not kept')
    return {**nodes, 'retrieved': found.retrieved}


def strain_between(first: Any, last: Any) -> float:
    """Return the largest principal strain from one cell to another, both (3, 3)."""
    deformation = np.linalg.solve(np.asarray(first, dtype=float), np.asarray(last, dtype=float))
    return float(np.max(np.abs(np.linalg.svd(deformation, compute_uv=False) - 1)))


def settings(job: orm.CalcJobNode) -> dict[str, Any]:
    """Return the settings in the inputs of a run, and what VASP took for those that were not given."""
    taken = {name.lower(): value for name, value in (job.outputs.misc.get_dict().get('parameters') or {}).items()}
    given = {name.lower(): value for name, value in job.inputs.parameters.get_dict().items()}
    structure, potcars = job.inputs.structure, job.inputs.potential
    symbols = {kind.name: kind.symbol for kind in structure.kinds}
    species = [symbols[name] for name, _ in groupby(structure.get_site_kindnames())]
    found = {symbols[name]: potcars[name] for name in potcars if name in symbols}
    known = {'encut': taken.get('enmax') or _enmax(found), **taken, **given}
    titles = {element: potcar.title for element, potcar in found.items()}
    distance = distance_of(job, 'kpoints_spacing', 2 * pi)
    return {**incar_settings(known, titles, species), 'kpoints_distance': distance}


def _enmax(potcars: Mapping[str, Any]) -> float | None:
    try:
        return largest_enmax(potcars)
    except ValueError:
        return None


CODE = EarlierCode(outputs, settings)
