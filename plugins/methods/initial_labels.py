"""Labelled frames from files, as the labels that a search starts with."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from aiida_prospect.common.enums import LabelStatus
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.formats import FileFormat, read_frames
from aiida_prospect.methods.formats_dft import pw_output_settings, read_pw_output, read_vasprun, vasprun_settings
from aiida_prospect.methods.training_set import usable

# Outputs of programs, by the ending of the file: what reads the labels, and what reads the settings.
OUTPUTS = {
    '.xml': (read_vasprun, vasprun_settings),
    '.out': (read_pw_output, pw_output_settings),
    '.pwo': (read_pw_output, pw_output_settings),
}
KEPT = ('numbers', 'offsets', 'positions', 'cells', 'energy', 'forces', 'stress', 'status', 'reason', 'origin')


def read_labels(path: Path) -> Frames:
    """Read labelled frames from a file, the folder above systems of DeePMD-kit, or an output of VASP or pw.x.

    :raises FileNotFoundError: if there is no such file.
    :raises ValueError: if it cannot be read or has no labels.
    """
    try:
        if path.suffix in OUTPUTS:
            frames = OUTPUTS[path.suffix][0](path)
        else:
            frames = read_frames(path, FileFormat.DEEPMD if path.is_dir() else None)
        return as_labels(frames, path.stem)
    except ValueError as exception:
        raise ValueError(f'{path}: {exception}') from exception


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings that a file tells; nothing if its format has no place for them."""
    return OUTPUTS[path.suffix][1](path) if path.suffix in OUTPUTS else {}


def as_labels(frames: Frames, name: str) -> Frames:
    """Return frames as labels: with a status, a reason and an origin, and without what else was known of them.

    :param name: of the source; frames without an origin are named after it.
    :raises ValueError: if no frame has an energy and forces.
    """
    if frames.energy is None or frames.forces is None or not np.any(usable(frames)):
        raise ValueError('no frame has a label: an energy and forces')
    size, good = len(frames), usable(frames)
    status = [''] * size if frames.status is None else frames.status.tolist()
    reason = [''] * size if frames.reason is None else frames.reason.tolist()
    origin = [''] * size if frames.origin is None else frames.origin.tolist()
    for index in range(size):
        origin[index] = origin[index] or f'{name}-{index:05d}'
        if good[index]:
            status[index], reason[index] = LabelStatus.OK.value, ''
        elif status[index] not in {item.value for item in LabelStatus} - {LabelStatus.OK.value}:
            status[index], reason[index] = LabelStatus.FAILED.value, reason[index] or 'no energy or no forces'
    bare = frames.without(*(set(frames.arrays()) - set(KEPT)))
    return bare.replace(status=status, reason=reason, origin=origin)


def check_elements(frames: Frames, elements: Collection[str]) -> None:
    """Refuse frames with other elements than a search has.

    :raises ValueError: with the elements.
    """
    foreign = sorted(set(frames.elements) - set(elements))
    if foreign:
        raise ValueError(f'there are frames with {", ".join(foreign)}, the search is for {", ".join(sorted(elements))}')
