# shellcheck shell=bash
# What the scripts of this folder have in common. To be sourced; expects `set -euo pipefail` and ROOT, the folder of the checkout.

SYSTEM_PACKAGES=(quantum-espresso quantum-espresso-data libopenblas0-serial openmpi-bin)

say() { printf '\n\033[1m==> %s\033[0m\n' "$*" >&2; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() {
    printf '\nerror: %s\n' "$*" >&2
    exit 1
}

# Run a command as root, if there is a way to without asking a password of a script.
as_root() {
    if [[ $(id -u) == 0 ]]; then "$@"; else sudo -n "$@"; fi
}

may_install() {
    command -v apt-get >/dev/null && { [[ $(id -u) == 0 ]] || { command -v sudo >/dev/null && sudo -n true 2>/dev/null; }; }
}

# Run a command, and show the end of what it wrote only if it fails; meanwhile a terminal shows its last line.
quietly() {
    local log code=0 clock=''
    log=$(mktemp)
    if [[ -t 2 ]]; then
        show_last_line "$log" &
        clock=$!
    fi
    "$@" >"$log" 2>&1 || code=$?
    if [[ -n $clock ]]; then
        kill "$clock" 2>/dev/null || true
        wait "$clock" 2>/dev/null || true
        printf '\r\033[K' >&2
    fi
    ((code == 0)) || tail -n 20 "$log" >&2
    rm -f "$log"
    return $code
}

# Show how long a command has run and the last line of its log, until it is ended, or the script is.
show_last_line() {
    local start=$SECONDS
    while sleep 1 && kill -0 $$ 2>/dev/null; do
        printf '\r\033[K%5d s  %.70s' $((SECONDS - start)) "$(tail -n 1 "$1" 2>/dev/null)" >&2
    done
}

apt_install() {
    quietly as_root apt-get update || warn 'apt-get update failed'
    quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

# Print the first interpreter that is new enough.
find_python() {
    local candidate
    for candidate in "${PYTHON:-python3}" python3.13 python3.12 python3.11 python3.10; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    die 'no Python from 3.10 to 3.13 found; install one, or name it: PYTHON=/path/to/python bash deploy/quickstart.sh'
}

# Make a virtual environment, with whatever this machine has to make one.
# make_environment FOLDER
make_environment() {
    local folder=$1 python version tools="$ROOT/.prospect/bootstrap"
    if "$folder/bin/python" -c 'import pip' 2>/dev/null; then return; fi
    python=$(find_python)
    say "making the environment $folder with $("$python" --version)"
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null && may_install; then
        version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
        apt_install "$version-venv" || warn "apt could not install $version-venv"
    fi
    if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        "$python" -m venv --clear "$folder"
    elif "$python" -m virtualenv --version >/dev/null 2>&1; then
        "$python" -m virtualenv --quiet --clear "$folder"
    elif "$python" -m pip --version >/dev/null 2>&1 && "$python" -m pip install --quiet --upgrade --target "$tools" virtualenv; then
        # With `--target` pip works where Debian reserves the interpreter's own packages for apt.
        PYTHONPATH="$tools" "$python" -m virtualenv --quiet --clear "$folder"
    else
        die "$python can make no virtual environment: it has neither ensurepip nor virtualenv nor pip.
Ask the administrator for: apt install python3-venv"
    fi
}

# Bring an environment up to date, unless nothing has changed since the last time.
# pip_install ENVIRONMENT NAME ARGUMENTS...
pip_install() {
    local environment=$1 name=$2 stamp content
    shift 2
    stamp="$environment/.prospect-$name"
    content=$(cat "$ROOT/pyproject.toml" && printf '%s\n' "$ROOT" "$@")
    if [[ -f $stamp && $(<"$stamp") == "$content" ]]; then return; fi
    say "installing into $environment: $* (a few minutes, some GB)"
    quietly "$environment/bin/python" -m pip install --upgrade 'pip>=25.1' || die 'pip could not renew itself: is there a network?'
    (cd "$ROOT" && quietly "$environment/bin/python" -m pip install "$@") || die "pip could not install $*"
    printf '%s' "$content" >"$stamp"
}

# AiiDA asks `ps` whether a job on this machine still runs; containers and minimal systems lack it.
install_ps() {
    command -v ps >/dev/null && return
    if may_install; then
        say 'installing procps'
        apt_install procps || warn 'apt could not install procps'
    fi
    command -v ps >/dev/null || die 'ps is not installed. Ask the administrator for: apt install procps'
}

# Install pw.x where that is allowed; otherwise say what to ask for. Returns 1 if it is not there in the end.
install_pw() {
    command -v pw.x >/dev/null && return
    if may_install; then
        say "installing ${SYSTEM_PACKAGES[*]}"
        apt_install "${SYSTEM_PACKAGES[@]}" || warn 'apt could not install Quantum ESPRESSO'
    fi
    command -v pw.x >/dev/null
}

# Install a browser for the tests of the report where that is allowed. Returns 1 if it is not there in the end.
install_browser() {
    has_browser && return
    if may_install; then
        say 'installing chromium chromium-driver'
        apt_install chromium chromium-driver || warn 'apt could not install chromium'
    fi
    has_browser
}

has_browser() { { command -v chromium || command -v chromium-browser; } >/dev/null && command -v chromedriver >/dev/null; }

# shellcheck disable=SC2034 # used by the scripts that source this one
HOW_TO_GET_PW="pw.x of Quantum ESPRESSO is not on the PATH, and only root may install it.
Ask the administrator for: apt install ${SYSTEM_PACKAGES[*]}
or put a pw.x of your own on the PATH. Without it: bash deploy/quickstart.sh --labels calculator"

# One thread per process: several processes share the cores, and two threads each on a busy machine are several times slower.
one_thread() {
    export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
    export DP_INTRA_OP_PARALLELISM_THREADS=1 DP_INTER_OP_PARALLELISM_THREADS=1
}

# wait_until SECONDS COMMAND...: ask again and again until it succeeds.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.2
    done
}

# Tell whether something listens on a port of the loopback.
is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

random_password() { head -c 24 /dev/urandom | base64 | tr -d '/+=\n'; }
