"""The potentials of an ensemble in the folder of a job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from aiida.common.folders import Folder

from aiida_prospect.calculations.runners.evaluate import ENSEMBLE
from aiida_prospect.common.enums import Backend
from aiida_prospect.data.potential import PotentialData


def may_fail_by_accident(potentials: Mapping[str, PotentialData]) -> bool:
    """Tell whether an evaluation that failed may go well another time: a calculator may start other programs."""
    return any(potential.program is Backend.ASE for potential in potentials.values())


def write_ensemble(folder: Folder, potentials: Mapping[str, PotentialData]) -> list[str]:
    """Write the model files and what :func:`~aiida_prospect.methods.evaluators.loading.load_ensemble` needs to know.

    The order of the members is that of their keys, so that equal inputs make equal jobs. Files of calculators keep
    their names, because the arguments of the calculators hold them.

    :return: names of the files of the potentials, which need not be stored a second time with the job.
    :raises ValueError: if two different files have the same name.
    """
    specifications, filenames = [], []
    for number, key in enumerate(sorted(potentials)):
        potential = potentials[key]
        filename = f'model_{number:02d}{potential.suffix}' if potential.filename else None
        specifications.append(potential.spec(filename))
        if filename:
            potential.write_model(Path(folder.abspath) / filename)
            filenames.append(filename)
        for name in potential.calculator_files:
            content, target = potential.base.repository.get_object_content(name, 'rb'), Path(folder.abspath) / name
            if target.exists() and target.read_bytes() != content:
                raise ValueError(f'the file `{name}` of the potential `{key}` would replace another one in the job')
            target.write_bytes(content)
            filenames.append(name)
    with folder.open(ENSEMBLE, 'w', encoding='utf8') as handle:
        json.dump(specifications, handle, indent=2)
    return filenames
