"""Earlier calculations of pw.x."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida import orm

from aiida_prospect.methods.label_settings import functional_name
from aiida_prospect.methods.labels_quantumespresso import input_settings
from aiida_prospect.workflows.earlier.base import EarlierCode, NoLabel, distance_of


def outputs(job: orm.CalcJobNode) -> Mapping[str, orm.Data]:
    """Return what a label is made of: the last structure of a run, and what was computed for it.

    :raises NoLabel: if forces or stress are missing.
    """
    found = job.outputs
    if not {'output_parameters', 'output_trajectory'} <= set(found):
        raise NoLabel('it has no results')
    if not {'forces', 'stress'} <= set(found.output_trajectory.get_arraynames()):
        raise NoLabel('it has no forces or no stress')
    structure = found.output_structure if 'output_structure' in found else job.inputs.structure
    return {'structure': structure, 'parameters': found.output_parameters, 'trajectory': found.output_trajectory}


def settings(job: orm.CalcJobNode) -> dict[str, Any]:
    """Return the settings in the inputs of a run, and the functional that it tells."""
    system = {key.lower(): value for key, value in _namelist(job.inputs.parameters.get_dict(), 'SYSTEM').items()}
    kinds = {kind.name: kind.symbol for kind in job.inputs.structure.kinds}
    pseudos = job.inputs.pseudos
    known = input_settings(system, {kinds[kind]: pseudos[kind].md5 for kind in pseudos if kind in kinds})
    told = job.outputs.output_parameters.get_dict().get('dft_exchange_correlation')
    if told:
        known['functional'] = functional_name(told)
    return {**known, 'kpoints_distance': distance_of(job, 'kpoints_distance')}


def _namelist(parameters: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return next((value for key, value in parameters.items() if key.upper() == name), {})


CODE = EarlierCode(outputs, settings)
