"""Lay the package out as it will be installed, by links, for tools that read folders and know no editable installs."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# As `tool.setuptools.package-dir` has it.
SUBPACKAGES = ('calculations', 'parsers', 'workflows')


def link_tree(target: Path) -> None:
    """Make the folder ``target/aiida_prospect``, of real folders with links to the modules."""
    package = target / 'aiida_prospect'
    shutil.rmtree(package, ignore_errors=True)
    for source, inner in ((ROOT / 'plugins', ''), *((ROOT / name, name) for name in SUBPACKAGES)):
        for path in source.rglob('*'):
            if path.suffix in ('.py', '.typed', '.yaml', '.html', '.css', '.js'):
                link = package / inner / path.relative_to(source)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path)


if __name__ == '__main__':
    link_tree(Path(sys.argv[1]))
