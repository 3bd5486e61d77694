"""TorchSim with a model of DeePMD-kit: the wrapper that it lacks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch_sim as ts
from ase import Atoms
from deepmd.infer import DeepPot
from torch_sim.models.interface import ModelInterface

from benchmarks.relax_throughput.engines import Outcome

CRYSTALS_TOGETHER = 64


class DeepmdModel(ModelInterface):
    """The TorchScript module, for crystals of one size and one element.

    :param file: of the model.
    """

    def __init__(self, file: Path) -> None:
        super().__init__()
        from deepmd.pt.utils.env import DEVICE

        self._device, self._dtype = DEVICE, torch.float64
        self._compute_stress = self._compute_forces = True
        self._memory_scales_with = 'n_atoms'
        self.evaluations = 0
        self._module = DeepPot(str(file), nlist_backend='native').deep_eval.dp.model['Default']

    def forward(self, state: Any, **_: Any) -> dict[str, torch.Tensor]:
        """Return energy, forces and stress."""
        cells = state.row_vector_cell
        size = len(cells)
        self.evaluations += size
        positions = state.positions.reshape(size, -1, 3)
        types = torch.zeros(positions.shape[:2], dtype=torch.long, device=self._device)
        found = self._module(positions, types, box=cells.reshape(size, 9))
        virial = found['virial'].reshape(size, 3, 3)
        volume = torch.linalg.det(cells).abs()[:, None, None]
        return {
            'energy': found['energy'].reshape(size).detach(),
            'forces': found['force'].reshape(-1, 3).detach(),
            'stress': (-(virial + virial.transpose(1, 2)) / 2 / volume).detach(),
        }


def relaxation(files: list[Path], *, fmax: float, max_steps: int) -> Callable[[list[Atoms]], Outcome]:
    """Return what relaxes crystals of one size with the first of the models, as many at once as is best here."""
    model = DeepmdModel(files[0])

    def relax(crystals: list[Atoms]) -> Outcome:
        before = model.evaluations
        batcher = ts.InFlightAutoBatcher(
            model, memory_scales_with='n_atoms', max_memory_scaler=CRYSTALS_TOGETHER * len(crystals[0])
        )
        state = ts.optimize(
            crystals,
            model,
            optimizer=ts.unit_cell_fire,
            convergence_fn=ts.generate_force_convergence_fn(fmax, include_cell_forces=True),
            autobatcher=batcher,
            max_steps=max_steps * len(crystals),
            steps_between_swaps=1,
        )
        done = ts.generate_force_convergence_fn(fmax)(state).tolist()
        energies = (state.energy / len(crystals[0])).tolist()
        return Outcome(model.evaluations - before, energies, [], done)

    return relax
