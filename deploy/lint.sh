#!/usr/bin/env bash
# Checks style, types and the direction of imports, with the tools on the PATH.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
python3 deploy/link_tree.py "$tree"
export MYPYPATH=$tree PYTHONPATH=$tree
ruff check .
ruff format --check .
mypy -p aiida_prospect
lint-imports --no-cache
