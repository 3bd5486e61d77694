"""The loop of the benchmarks does the same as the work chain."""

from __future__ import annotations

from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]


def test_labels_are_those_of_the_work_chain(search, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.label_efficiency.loop import Search
    from benchmarks.label_efficiency.settings import SearchSettings
    from benchmarks.label_efficiency.systems import SYSTEMS

    inputs = search.inputs
    changes = {
        'search': {'budget': inputs.budget.get_dict(), 'final': inputs.parameters['final']},
        'pool': {'n_structures': inputs.pool.parameters['n_structures']},
        'selection': {'selection': {key: inputs.parameters['selection'][key] for key in ('n_initial', 'n_select')}},
        'explore': {'parameters': {'max_steps': inputs.explore.parameters['max_steps']}},
    }
    settings = SearchSettings.from_protocol({'Si': 4}, protocol='fast', overrides=changes, seed=inputs.seed.value)
    outcome = Search(settings, SYSTEMS['si8'].surface.ensemble()).run()

    assert len(outcome.cycles) == 2
    for number, cycle in enumerate(outcome.cycles):
        there = search.outputs[f'cycle_{number:02d}']
        labels = there.labels.frames
        assert cycle.labels.origin.tolist() == labels.origin.tolist()
        assert np.allclose(cycle.labels.positions, labels.positions, rtol=0, atol=1e-10)
        assert np.allclose(cycle.labels.energy, labels.energy, rtol=0, atol=1e-10)
        assert np.allclose(cycle.clustered.frames.energy, there.pool.frames.energy, rtol=0, atol=1e-8)
    assert outcome.stop['reason'] == search.outputs.stop['reason']
    assert np.isclose(outcome.final.energy.min(), search.outputs.minima.frames.energy.min(), rtol=0, atol=1e-8)
