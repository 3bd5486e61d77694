"""The models that are compared, one row of a table each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.training_cost.data import Surface

TENSORFLOW, PYTORCH, POD, MACE = 'tensorflow', 'pytorch', 'pod', 'mace'
SILICON = Surface()
SALT = Surface('NaCl_EIM', 'Na4Cl4')
OTHER_SALTS = (Surface('KCl_EIM', 'K4Cl4'), Surface('NaBr_EIM', 'Na4Br4'), Surface('KBr_EIM', 'K4Br4'))
SE_ATTEN = {
    'type': 'se_atten',
    'rcut': 5.0,
    'rcut_smth': 0.5,
    'sel': 80,
    'neuron': [10, 20, 40],
    'axis_neuron': 8,
    'attn': 64,
    'attn_layer': 0,
}
SE_E3 = {
    'type': 'hybrid',
    'list': [
        {'type': 'se_e2_a', 'rcut': 5.0, 'rcut_smth': 0.5, 'sel': 'auto:1.4', 'neuron': [10, 20, 40], 'axis_neuron': 8},
        {'type': 'se_e3', 'rcut': 3.5, 'rcut_smth': 0.5, 'sel': 'auto:1.4', 'neuron': [4, 8, 16]},
    ],
}
DPA1 = {
    'type': 'dpa1',
    'rcut': 5.0,
    'rcut_smth': 0.5,
    'sel': 80,
    'neuron': [10, 20, 40],
    'axis_neuron': 8,
    'attn': 64,
    'attn_layer': 2,
    'tebd_dim': 8,
}
DPA3 = {
    'type': 'dpa3',
    'repflow': {
        'n_dim': 32,
        'e_dim': 16,
        'a_dim': 8,
        'nlayers': 2,
        'e_rcut': 5.0,
        'e_rcut_smth': 3.5,
        'e_sel': 80,
        'a_rcut': 3.5,
        'a_rcut_smth': 2.5,
        'a_sel': 30,
        'axis_neuron': 4,
        'fix_stat_std': 0.3,
        'update_angle': True,
    },
}
MACE_SMALL = {
    'hidden_irreps': '16x0e + 16x1o',
    'r_max': 5.0,
    'num_interactions': 2,
    'correlation': 3,
    'max_ell': 2,
    'num_radial_basis': 8,
    'lr': 0.01,
    'energy_weight': 10,
    'forces_weight': 100,
    'stress_weight': 10,
}


@dataclass(frozen=True)
class Row:
    """A model and what it is trained on.

    :param model: in words.
    :param labels: number of labelled frames.
    :param program: a backend of DeePMD-kit, ``pod`` or ``mace``.
    :param parameters: laid over the protocol ``balanced``; of MACE ``steps``, ``batch_size`` and ``options``.
    :param start: name of the row whose model it begins with.
    :param target: crystals that it is trained and judged on.
    :param sources: crystals that it is trained on instead; it is not judged then.
    """

    model: str
    labels: int
    program: str = TENSORFLOW
    parameters: Mapping[str, Any] = field(default_factory=dict)
    start: str = ''
    option: str = '--init-frz-model'
    target: Surface = SILICON
    sources: tuple[Surface, ...] = ()

    @property
    def study(self) -> str:
        """The table that it belongs to first."""
        is_start = self.start.startswith('pretrained') or self.sources or self.target != SILICON
        return 'start' if is_start else 'models'


def _cold(steps: int, descriptor: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    given = {} if descriptor is None else {'descriptor': descriptor}
    return {'cold': {'steps': steps}, **given, **more}


def _tensorflow() -> dict[str, Row]:
    rows = {f'e2a_20000_{n:03d}': Row('se_e2_a, 20,000 steps', n, parameters=_cold(20000)) for n in (60, 30, 120)}
    rows |= {f'e2a_{s:05d}_060': Row(f'se_e2_a, {s:,} steps', 60, parameters=_cold(s)) for s in (2000, 5000)}
    rows['e2a_warm_120'] = Row(
        'se_e2_a, 5,000 steps from that of 60 labels', 120, parameters={'warm': {'steps': 5000}}, start='e2a_20000_060'
    )
    rows['e2a_05000_120'] = Row('se_e2_a, 5,000 steps', 120, parameters=_cold(5000))
    rows['e2a_no_zbl_060'] = Row('se_e2_a, 5,000 steps, no repulsion', 60, parameters=_cold(5000, repulsion=None))
    rows['e3_05000_060'] = Row('se_e2_a and se_e3, 5,000 steps', 60, parameters=_cold(5000, SE_E3, compression=None))
    return rows


def _pytorch() -> dict[str, Row]:
    return {
        'dpa1_0_02000_060': Row('the same with PyTorch: dpa1 without attention, 2,000 steps', 60, PYTORCH, _cold(2000)),
        'dpa3_02000_060': Row('dpa3, small, 2,000 steps', 60, PYTORCH, _cold(2000, DPA3, compression=None)),
        'dpa1_2_02000_060': Row(
            'dpa1, two layers of attention, 2,000 steps', 60, PYTORCH, _cold(2000, DPA1, compression=None)
        ),
    }


def _starts() -> dict[str, Row]:
    """Return trainings that begin with a model of other salts or of another cell, and the same from scratch."""
    network = {'descriptor': SE_ATTEN, 'compression': None}
    rows = {
        'pretrained_salts': Row(
            'se_atten, 20,000 steps', 1200, parameters={**network, **_cold(20000)}, target=SALT, sources=OTHER_SALTS
        ),
        'pretrained_si16': Row(
            'se_e2_a, 60,000 steps',
            1500,
            parameters=_cold(60000),
            sources=(Surface('Si_Zuo_JPCA2020', 'Si16'),),
        ),
    }
    for n in (15, 30, 60):
        rows[f'continued_{n:03d}'] = Row(
            'se_e2_a, 2,000 steps from the pretrained one',
            n,
            parameters={'warm': {'steps': 2000}},
            start='pretrained_si16',
        )
    for n in (10, 20, 40):
        rows[f'finetuned_{n:03d}'] = Row(
            'se_atten, 2,000 steps from the pretrained one',
            n,
            parameters={**network, 'warm': {'steps': 2000}},
            start='pretrained_salts',
            option='--finetune',
            target=SALT,
        )
    for n in (20, 40, 80, 120):
        rows[f'salt_05000_{n:03d}'] = Row(
            'se_atten, 5,000 steps', n, parameters={**network, **_cold(5000)}, target=SALT
        )
    return rows | {
        f'atten_{steps:05d}_060': Row(f'se_atten, {steps:,} steps', 60, parameters={**network, **_cold(steps)})
        for steps in (5000, 20000)
    }


def _others() -> dict[str, Row]:
    mace = {'steps': 800, 'batch_size': 4, 'seed': 1, 'options': MACE_SMALL}
    rows = {f'pod_{n:03d}': Row('ML-POD', n, POD) for n in (15, 30, 60, 120)}
    rows |= {f'mace_{n:03d}': Row('MACE, small, 800 steps', n, MACE, mace) for n in (60, 30, 120)}
    return rows | {'mace_060_4000': Row('MACE, small, 4,000 steps', 60, MACE, mace | {'steps': 4000})}


ROWS: dict[str, Row] = {**_tensorflow(), **_pytorch(), **_starts(), **_others()}
