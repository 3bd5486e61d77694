"""The backends of DeePMD-kit, given neighbours instead of letting them find their own.

DeePMD-kit finds neighbours anew for each frame of each call. Both backends accept neighbours from a molecular dynamics
program; with them many crystals are one system of atoms and images, whatever their compositions, their lists are kept
from step to step, and members of an ensemble share them.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from aiida_prospect.methods.evaluators.crowd import Crowd, FloatArray, IntArray

# Of these it is known, from the tests, that they give with foreign neighbours what they give with their own.
DESCRIPTORS = ('se_e2_a', 'se_e3', 'hybrid', 'se_atten', 'dpa1', 'dpa3')
# Ahead of the neighbours themselves, in the form in which they are given to the TensorFlow backend.
MESH_HEADER = 16


class Engine(Protocol):
    """A loaded model."""

    def __call__(self, crowd: Crowd, types: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return (n_atoms,) energies, eV, and (n_atoms + g, 3) forces on atoms and images, eV/Å.

        :param types: (n_atoms,), in the model.
        """


def find_engine(model: Any, *, pytorch: bool) -> Engine | None:
    """Return what evaluates many crystals as one system, ``None`` if the model is none of which this is known to work.

    :param model: a ``DeepPot``.
    """
    deep = model.deep_eval
    if deep.get_has_spin() or model.get_dim_fparam() or model.get_dim_aparam():
        return None
    if not _is_known(deep.get_model_def_script()):
        return None
    if pytorch:
        return None if deep.modifier is not None else PytorchEngine(deep)
    return None if deep.dm is not None or deep.has_efield else TensorflowEngine(deep)


def _is_known(definition: dict[str, Any]) -> bool:
    definition = definition.get('model', definition)
    descriptor = definition.get('descriptor', {})
    parts = [descriptor, *descriptor.get('list', [])]
    return definition.get('type', 'standard') == 'standard' and all(part.get('type') in DESCRIPTORS for part in parts)


class TensorflowEngine:
    """A frozen graph.

    :param deep: the evaluator within a ``DeepPot``.
    """

    def __init__(self, deep: Any) -> None:
        self._session, self._feeds, self._n_types = deep.sess, deep.tensors, deep.get_ntypes()
        self._box = (-1,) if len(self._feeds['box'].shape) == 1 else (1, 9)
        self._outputs = [deep.output_tensors['energy'], deep.output_tensors['energy_derv_r']]

    def __call__(self, crowd: Crowd, types: IntArray) -> tuple[FloatArray, FloatArray]:
        """Evaluate; the graph wants atoms in the order of their types."""
        n_atoms, n_all = len(types), len(types) + len(crowd.image_of)
        order = np.concatenate([np.argsort(types, kind='stable'), np.arange(n_atoms, n_all)])
        place = np.empty_like(order)
        place[order] = np.arange(n_all)
        centre, neighbour = place[crowd.centre], place[crowd.neighbour]
        if np.any(np.diff(types) < 0):
            by_centre = np.argsort(centre, kind='stable')
            centre, neighbour = centre[by_centre], neighbour[by_centre]
        header = np.zeros(MESH_HEADER, dtype=np.int32)
        header[0] = n_atoms
        counts = np.bincount(centre, minlength=n_atoms)
        mesh = np.concatenate([header, np.arange(n_atoms), counts, neighbour]).astype(np.int32)
        energy, forces = self._session.run(
            self._outputs,
            {
                self._feeds['natoms']: np.array(
                    [n_atoms, n_all, *np.bincount(types, minlength=self._n_types)], np.int32
                ),
                self._feeds['type']: types[crowd.atoms][order].astype(np.int32),
                self._feeds['coord']: crowd.positions[order].reshape(-1),
                self._feeds['box']: np.eye(3).reshape(self._box),
                self._feeds['mesh']: mesh,
            },
        )
        return energy.reshape(-1)[place[:n_atoms]].astype(float), forces.reshape(-1, 3)[place].astype(float)


class PytorchEngine:
    """A TorchScript module, on whatever device DeePMD-kit has put it.

    :param deep: the evaluator within a ``DeepPot``.
    """

    def __init__(self, deep: Any) -> None:
        import torch
        from deepmd.pt.utils.env import DEVICE

        self._torch, self._device, self._model = torch, DEVICE, deep.dp.model['Default']

    def __call__(self, crowd: Crowd, types: IntArray) -> tuple[FloatArray, FloatArray]:
        """Evaluate crystals of equal size together, as the module is quadratic in the atoms of each."""
        energy, forces = np.empty(len(types)), np.empty((len(types) + len(crowd.image_of), 3))
        for stack in crowd.stacks:
            result = self._model.forward_lower(
                self._tensor(crowd.positions[stack.members]),
                self._tensor(types[crowd.atoms][stack.members]),
                self._tensor(stack.table),
                self._tensor(stack.atoms),
            )
            energy[stack.members[:, : stack.table.shape[1]]] = result['atom_energy'].detach().cpu().numpy()[:, :, 0]
            forces[stack.members[stack.real]] = result['extended_force'].detach().cpu().numpy()[stack.real]
        return energy, forces

    def _tensor(self, array: NDArray[Any]) -> Any:
        return self._torch.from_numpy(array).to(self._device)
