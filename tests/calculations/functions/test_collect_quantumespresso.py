"""Tests of how runs of pw.x become labels."""

import numpy as np
from aiida.orm import ArrayData, Dict

from aiida_prospect.calculations.functions.collect_quantumespresso import collect_quantumespresso
from aiida_prospect.data.dataset import DatasetData

PARAMETERS = {'energy': -10.0, 'convergence_info': {'scf_conv': {'convergence_achieved': True}}}


def test_a_run_without_forces_loses_only_its_own_label(aiida_profile, silicon_frames):
    known = {'forces': np.zeros((1, 8, 3)), 'stress': np.ones((1, 3, 3))}
    arrays = [known, {'stress': known['stress']}, {'forces': known['forces']}]
    cost = {'status': 'ok', 'reason': '', 'steps': 1, 'core_seconds': 2.0, 'memory_mb': None}
    outcomes, outputs = {}, {}
    for index, found in enumerate(arrays):
        key = f'frame_{index:04d}'
        outcomes[str(index)] = {'key': key, **cost}
        outputs |= {f'{key}_parameters': Dict(PARAMETERS), f'{key}_trajectory': ArrayData(found)}
    screened = DatasetData(silicon_frames(3).replace(status=[''] * 3, reason=[''] * 3))
    results = collect_quantumespresso(screened, Dict({'frames': outcomes, 'costs': {}}), **outputs)
    labels = results['labels'].frames
    assert labels.status.tolist() == ['ok', 'failed', 'ok']
    assert labels.reason.tolist() == ['', 'the run has no forces', '']
    assert np.isnan(labels.energy).tolist() == [False, True, False]
    assert np.isnan(labels.stress).all(axis=(1, 2)).tolist() == [False, True, True]
    assert results['report']['core_seconds'] == 6.0
