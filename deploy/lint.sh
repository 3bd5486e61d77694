#!/usr/bin/env bash
# Checks style (unless given --no-style), types and the direction of imports, with the tools on the PATH.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tree=build/tree
python3 deploy/link_tree.py "$tree"
if [[ ${1:-} != --no-style ]]; then
    ruff check .
    ruff format --check .
fi
MYPYPATH=$tree mypy --cache-dir build/mypy -p aiida_prospect
PYTHONPATH=$tree lint-imports --no-cache
