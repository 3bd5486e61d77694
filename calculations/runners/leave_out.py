"""Judge each label of a job by fits that have not seen it; run as ``python -m`` in the job's folder.

``job.json`` holds ``type_map``, ``parameters`` of the training (as in the protocols), ``limits`` (of ``AuditSettings``)
and ``left_out``, for each frame why nothing was fitted to it. The results have the form of those of ``evaluate``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from aiida_prospect.calculations.runners.evaluate import FRAMES, RESULT, STATISTICS
from aiida_prospect.calculations.runners.train_pod import origins
from aiida_prospect.common.enums import LabelStatus
from aiida_prospect.common.frames import Frames
from aiida_prospect.methods.audit import AuditSettings
from aiida_prospect.methods.left_out import predict_left_out
from aiida_prospect.methods.pod_equations import equations
from aiida_prospect.methods.pod_settings import PodSettings

JOB = 'job.json'
NO_LABEL = 'it has no label'


def main(folder: Path) -> int:
    """Fit, predict and write.

    :return: 0, or 1 if nothing could be fitted, in which case the statistics hold the ``error``.
    """
    start = time.monotonic()
    job, frames = json.loads((folder / JOB).read_text()), Frames.load(folder / FRAMES)
    try:
        result = judge(frames, job)
    except (ImportError, KeyError, RuntimeError, TypeError, ValueError) as exception:
        (folder / STATISTICS).write_text(json.dumps({'error': f'{type(exception).__name__}: {exception}'}))
        return 1
    result.save(folder / RESULT)
    statistics = {'evaluations': len(frames), 'seconds': time.monotonic() - start}
    (folder / STATISTICS).write_text(json.dumps(statistics))
    return 0


def judge(frames: Frames, job: dict[str, Any]) -> Frames:
    """Return all frames with what fits without them say; those without a label with a status that says so."""
    settings, type_map = PodSettings.from_parameters(job['parameters']), job['type_map']
    usable = frames.known('status') == LabelStatus.OK.value
    known = np.flatnonzero(usable & np.isfinite(frames.known('energy')))
    labelled = frames.select(known)
    rows = equations(labelled, settings.descriptor_text(type_map), type_map, settings.repulsion)
    left_out = [job['left_out'][index] for index in known.tolist()]
    limits = AuditSettings(**job['limits'])
    predicted = predict_left_out(labelled, rows, origins(labelled), left_out, settings.fit, len(type_map), limits)
    is_known = np.isin(np.arange(len(frames)), known)
    atoms = np.repeat(is_known, frames.n_atoms)
    status = np.where(is_known, str(LabelStatus.OK), str(LabelStatus.FAILED))
    values = {name: frames.known(name).copy() for name in ('energy', 'forces')}
    values['energy'][known] = predicted.known('energy')
    values['forces'][atoms] = predicted.known('forces')
    if frames.stress is not None:
        values['stress'] = frames.stress.copy()
        values['stress'][known] = predicted.known('stress')
    reason = np.where(is_known, '', NO_LABEL)
    return frames.replace(**values, status=status, reason=reason)


if __name__ == '__main__':
    sys.exit(main(Path.cwd()))
