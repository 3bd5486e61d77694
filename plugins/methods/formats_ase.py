"""Frames in extended XYZ files and databases of ASE.

ASE's own writer of extended XYZ rounds positions to eight decimals; what is written here, ASE reads back exactly.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import chemical_symbols
from ase.io.extxyz import key_val_str_to_dict
from ase.stress import voigt_6_to_full_3x3_stress

from aiida_prospect.common.frames import ABSENT, KINDS, PER_ATOM, PER_FRAME, FloatArray, Frames

RESULTS = ('energy', 'forces', 'stress')
STRESS = 'stress_full'
VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])


def write_extxyz(frames: Frames, path: Path) -> None:
    """Write an extended XYZ file; numbers that are not known are ``nan``, so that they are so for readers too."""
    fields = frames.arrays()
    columns = [name for name in ('positions', 'forces', 'forces_spread') if name in fields]
    properties = ':'.join(
        ['species:S:1'] + [f'{"pos" if n == "positions" else n}:R:{3 if fields[n].ndim == 2 else 1}' for n in columns]
    )
    symbols = np.array(chemical_symbols)[frames.numbers]
    table = np.column_stack([fields[name] for name in columns])
    with path.open('w', encoding='utf8') as handle:
        for i, (start, end) in enumerate(zip(frames.offsets[:-1], frames.offsets[1:], strict=True)):
            header = [_key('Lattice', frames.cells[i].ravel()), f'Properties={properties}', 'pbc="T T T"']
            header += [_key(name, fields[name][i]) for name in PER_FRAME if name in fields and not PER_FRAME[name]]
            if frames.stress is not None:
                header += _stress_keys(frames.stress[i])
            handle.write(f'{end - start}\n{" ".join(header)}\n')
            for symbol, row in zip(symbols[start:end], table[start:end].tolist(), strict=True):
                handle.write(f'{symbol} {" ".join(map(repr, row))}\n')


def _stress_keys(stress: FloatArray) -> list[str]:
    # ASE keeps six components only. Two that differ in the last digit are kept beside.
    keys = [_key('stress', stress.ravel(order='F'))]
    return keys if _is_symmetric(stress) else [*keys, _key(STRESS, stress.ravel())]


def _is_symmetric(stress: FloatArray) -> bool:
    return np.array_equal(stress, stress.T, equal_nan=True)


def _key(name: str, value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f'{name}="{" ".join(map(repr, value.ravel().tolist()))}"'
    if not isinstance(value, str):
        return f'{name}={value.item()!r}'
    quoted = f'{name}={_quote(value)}'
    parsed = key_val_str_to_dict(quoted).get(name) if value.isascii() and value.isprintable() else None
    if isinstance(parsed, str) and parsed == value:
        return quoted
    # Text that a reader would take for a number, a truth value or a list, or that does not fit in a line.
    return f'{name}={_quote("_JSON " + json.dumps(value))}'


def _quote(text: str) -> str:
    escaped = text.replace('\\', '\\\\').replace('"', '\\"')
    return f'"{escaped}"'


def read_extxyz(path: Path) -> Frames:
    """Read an extended XYZ file of periodic structures.

    Energy, forces and stress are those that ASE recognises; of other columns and keys those that are named like fields
    of frames are taken.

    :raises ValueError: if a structure is not periodic or the file makes no sense.
    """
    from ase.io import read

    try:
        structures = read(path, index=':', format='extxyz')
    except OSError as exception:
        raise ValueError(f'`{path}` is no extended XYZ file: {exception}') from exception
    return _collect(structures, [{**atoms.arrays, **atoms.info, **_results(atoms)} for atoms in structures])


def _results(atoms: Atoms) -> dict[str, Any]:
    return {} if atoms.calc is None else {k: v for k, v in atoms.calc.results.items() if k in RESULTS}


def write_ase_db(frames: Frames, path: Path) -> None:
    """Write an SQLite database of ASE, one row per frame."""
    from ase.db import connect

    fields = {name: value for name, value in frames.arrays().items() if name in PER_FRAME or name in PER_ATOM}
    with connect(path, type='db', append=False) as database:
        for i, atoms in enumerate(frames.to_atoms()):
            start, end = frames.offsets[i : i + 2]
            known = {name: v[start:end] if name in PER_ATOM else v[i] for name, v in fields.items()}
            results = {name: known[name] for name in RESULTS if name in known and np.all(np.isfinite(known[name]))}
            # The database has no NaN; a result that is not a number is kept as text beside.
            extra = {k: _plain(v) for k, v in known.items() if k not in ('numbers', 'positions', 'cells', *results)}
            if 'stress' in results:
                results['stress'] = _voigt(known['stress'])
                extra |= {} if _is_symmetric(known['stress']) else {STRESS: _plain(known['stress'])}
            atoms.calc = SinglePointCalculator(atoms, **results) if results else None
            database.write(atoms, data=extra)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def read_ase_db(path: Path) -> Frames:
    """Read all rows of a database of ASE.

    :raises ValueError: if a structure is not periodic or the file is no database.
    """
    from sqlite3 import DatabaseError

    from ase.db import connect

    structures, known = [], []
    try:
        for row in connect(path, type='db').select():
            structures.append(row.toatoms())
            known.append({**row.key_value_pairs, **row.data, **{k: row[k] for k in RESULTS if k in row}})
    except DatabaseError as exception:
        raise ValueError(f'`{path}` is no database of ASE: {exception}') from exception
    return _collect(structures, known)


def _collect(structures: Sequence[Atoms], known: Sequence[Mapping[str, Any]]) -> Frames:
    for i, atoms in enumerate(structures):
        if not all(atoms.pbc):
            raise ValueError(f'structure {i} ({atoms.get_chemical_formula()}) is not periodic in all directions')
    fields = {name for names in (PER_ATOM, PER_FRAME) for name in names} - {'numbers', 'positions', 'cells'}
    columns: dict[str, Any] = {}
    for name in fields:
        if any(name in values for values in known):
            parts = [_value(name, values, len(atoms)) for values, atoms in zip(known, structures, strict=True)]
            columns[name] = np.concatenate(parts) if name in PER_ATOM else np.array(parts)
    return Frames.from_atoms(structures, **columns)


def _value(name: str, values: Mapping[str, Any], n_atoms: int) -> Any:
    value = values.get(name)
    if value is None:
        return np.full(
            (n_atoms, *PER_ATOM[name]) if name in PER_ATOM else PER_FRAME[name], ABSENT[KINDS.get(name, 'f')]
        )
    if KINDS.get(name) == 'U':
        return str(value)
    value = np.asarray(value, dtype=float if name not in KINDS else int)
    return _stress(value, values.get(STRESS)) if name == 'stress' else value


def _stress(stress: FloatArray, full: Any) -> FloatArray:
    symmetric = voigt_6_to_full_3x3_stress(stress) if stress.shape == (6,) else stress
    if full is None:
        return np.asarray(symmetric)
    exact = np.asarray(full, dtype=float).reshape(3, 3)
    # Somebody may have changed the stress that everybody sees; then what was kept beside is out of date.
    return exact if np.array_equal(_voigt(exact), _voigt(symmetric)) else np.asarray(symmetric)


def _voigt(stress: FloatArray) -> FloatArray:
    return np.asarray(stress[VOIGT])
