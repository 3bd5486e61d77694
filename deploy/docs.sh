#!/usr/bin/env bash
# Builds the documentation site into FOLDER, by default build/docs, with an environment that is made if it is not there; a warning
# is an error. Other arguments are given to sphinx-build.
#   bash deploy/docs.sh [FOLDER] [options of sphinx-build]
#   PROSPECT_TEST_ENV   the environment to make or use, by default .venv
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=deploy/lib.sh
source "$ROOT/deploy/lib.sh"
ENVIRONMENT="${PROSPECT_TEST_ENV:-$ROOT/.venv}"
FOLDER="$ROOT/build/docs"
if [[ ${1:-} && $1 != -* ]]; then
    FOLDER=$(realpath -m "$1")
    shift
fi

make_environment "$ENVIRONMENT"
if ! "$ENVIRONMENT/bin/python" -c 'import aiida_prospect, furo, myst_parser, aiida_quantumespresso, aiida_vasp' 2>/dev/null; then
    pip_install "$ENVIRONMENT" docs --editable "$ROOT[qe,vasp]" --group "$ROOT/pyproject.toml:docs"
fi
one_thread
"$ENVIRONMENT/bin/python" -W ignore -m sphinx -W --keep-going -q "$@" "$ROOT/docs" "$FOLDER"
say "$FOLDER/index.html"
