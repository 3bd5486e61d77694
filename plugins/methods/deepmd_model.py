"""What a model file of DeePMD-kit says of itself, read without DeePMD-kit, TensorFlow or PyTorch.

A frozen graph of TensorFlow (``.pb``) and a TorchScript (``.pth``) hold the input of the training as JSON; a checkpoint
of PyTorch (``.pt``), as pretrained models are published, holds it as a dictionary in a pickle.
"""

from __future__ import annotations

import io
import json
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiida_prospect.common.enums import Backend
from aiida_prospect.methods.deepmd_input import cutoff_of

BACKENDS = {'.pb': Backend.TENSORFLOW, '.pth': Backend.PYTORCH, '.pt': Backend.PYTORCH}
SCRIPTS = {'.pb': re.compile(rb'train_attr/training_script.{0,120}?(?=\{)', re.DOTALL)}
SCRIPT_OF_TORCH = re.compile(rb'model_def_script.{0,20}?(?=\{)', re.DOTALL)
# With TensorFlow only these can be adapted to another zero of energy (DeePMD-kit, "Finetune the pretrained model").
ADAPTABLE = ('se_atten', 'se_atten_v2')
COMPRESSIBLE = ('se_e2_a', 'se_a', 'se_e2_r', 'se_r', 'se_e3', 'se_at', 'se_a_3be')
COMPRESSED = b'compressed_model'


@dataclass(frozen=True)
class ModelCard:
    """A model and how it was trained.

    :param suffix: of the file.
    :param model: section ``model`` of the input of its training.
    :param branch: of a model for several tasks, empty if there is but one.
    """

    suffix: str
    model: Mapping[str, Any]
    branch: str = ''

    @property
    def backend(self) -> Backend:
        """The backend that the file belongs to."""
        return BACKENDS[self.suffix]

    @property
    def type_map(self) -> list[str]:
        """Element of each type."""
        return list(self.model['type_map'])

    @property
    def descriptor(self) -> dict[str, Any]:
        """Section of the input."""
        return dict(self.model['descriptor'])

    @property
    def cutoff(self) -> float:
        """Å."""
        return cutoff_of(self.descriptor)

    @property
    def architecture(self) -> str:
        """Name of the descriptor."""
        return '+'.join(str(item.get('type')) for item in self.descriptor.get('list', [self.descriptor]))

    @property
    def start(self) -> str:
        """How a training starts from it: an option of ``dp train``."""
        adaptable = self.suffix == '.pt' or (self.suffix == '.pb' and self.descriptor.get('type') in ADAPTABLE)
        return '--finetune' if adaptable else '--init-frz-model'


def read_model(path: Path, branch: str = '') -> ModelCard:
    """Read what a model says of itself.

    :param branch: of a model for several tasks.
    :raises ValueError: if it is no model that a training of energies and forces can start from, with the reason.
    """
    if path.suffix not in BACKENDS:
        raise ValueError(f'`{path.name}` is no model of DeePMD-kit; the ending must be one of {", ".join(BACKENDS)}')
    content = path.read_bytes()
    if path.suffix == '.pb' and COMPRESSED in content:
        raise ValueError(f'`{path.name}` is a compressed model, which cannot be trained on: give the frozen one')
    script = _script(content, path.suffix)
    if script is None:
        raise ValueError(f'`{path.name}` does not say how it was trained, so no training can start from it')
    model, branch = _choose_branch(script.get('model', script), branch, path.name)
    for key in ('type_map', 'descriptor', 'fitting_net'):
        if not model.get(key):
            raise ValueError(f'`{path.name}` has no `{key}`: it is no model of energies that a training can start from')
    kind = model['fitting_net'].get('type', 'ener')
    if kind != 'ener':
        raise ValueError(f'`{path.name}` gives `{kind}`, not energies and forces')
    return ModelCard(path.suffix, model, branch)


def _script(content: bytes, suffix: str) -> dict[str, Any] | None:
    try:
        if suffix == '.pb':
            return _json_after(SCRIPTS['.pb'], content)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            name = next(name for name in archive.namelist() if name.endswith('data.pkl'))
            pickled = archive.read(name)
        return _json_after(SCRIPT_OF_TORCH, pickled) if suffix == '.pth' else _checkpoint_script(pickled)
    except (zipfile.BadZipFile, StopIteration, pickle.UnpicklingError, EOFError):
        return None


def _json_after(pattern: re.Pattern[bytes], content: bytes) -> dict[str, Any] | None:
    for match in pattern.finditer(content):
        try:
            found, _ = json.JSONDecoder().raw_decode(content[match.end() :].decode('utf8', errors='replace'))
        except json.JSONDecodeError:
            continue
        if isinstance(found, dict):
            return found
    return None


class _Stub:
    """Stands for a tensor, which nobody looks at."""

    def __init__(self, *_: Any) -> None: ...

    def __setstate__(self, _: Any) -> None: ...


class _Reader(pickle.Unpickler):
    """Reads plain values only: of classes it makes stubs, and it calls nothing."""

    def find_class(self, module: str, name: str) -> Any:
        return OrderedDict if (module, name) == ('collections', 'OrderedDict') else _Stub

    def persistent_load(self, _: Any) -> Any:
        return None


def _checkpoint_script(pickled: bytes) -> dict[str, Any] | None:
    state = _Reader(io.BytesIO(pickled)).load()
    state = state.get('model', state) if isinstance(state, dict) else {}
    extra = state.get('_extra_state') if isinstance(state, dict) else None
    return dict(extra['model_params']) if isinstance(extra, dict) and 'model_params' in extra else None


def _choose_branch(model: Mapping[str, Any], branch: str, name: str) -> tuple[dict[str, Any], str]:
    """Return the part of a model for several tasks that was asked for, with what the parts share."""
    branches = model.get('model_dict')
    if branches is None:
        if branch:
            raise ValueError(f'`{name}` has no branches, so not `{branch}` either')
        return dict(model), ''
    if branch not in branches:
        raise ValueError(f'`{name}` has several branches: choose one with `--initial-branch`: {", ".join(branches)}')
    shared = model.get('shared_dict', {})
    part = {key: _resolve(value, shared) for key, value in branches[branch].items()}
    return part, branch


def _resolve(value: Any, shared: Mapping[str, Any]) -> Any:
    return shared.get(value.partition(':')[0], value) if isinstance(value, str) else value


def training_parameters(card: ModelCard, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters of a training with the network of a model instead of their own.

    :param parameters: as in the protocol ``train_deepmd``.
    """
    changed = deepcopy(dict(parameters))
    model = deepcopy(dict(card.model))
    changed['type_map'] = card.type_map
    changed['descriptor'] = model['descriptor']
    changed['fitting'] = model['fitting_net']
    if 'use_srtab' not in model:
        changed['repulsion'] = None
    names = ('smin_alpha', 'sw_rmin', 'sw_rmax', 'type_embedding', 'type')
    kept = {key: model[key] for key in names if key in model}
    overrides = dict(changed.get('overrides') or {})
    changed['overrides'] = {**overrides, 'model': {**overrides.get('model', {}), **kept}}
    kinds = [item.get('type') for item in model['descriptor'].get('list', [model['descriptor']])]
    if not set(kinds) <= set(COMPRESSIBLE) and 'use_srtab' not in model:
        changed['compression'] = None
    return changed
