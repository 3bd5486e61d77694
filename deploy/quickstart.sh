#!/usr/bin/env bash
# From a fresh Debian or Ubuntu machine with Python >= 3.10 to a search that has run; see `usage` below. Nothing outside this
# checkout is changed, but for Quantum ESPRESSO and python3-venv, which apt installs where that is allowed.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=deploy/lib.sh
source "$ROOT/deploy/lib.sh"

usage() {
    cat <<'TXT'
Installs what is missing, then searches the crystal structures of a formula.

  bash deploy/quickstart.sh [FORMULA] [options] [options of `aiida-prospect search`]

  FORMULA            content of one cell, by default Si8
  --labels NAME      calculator (the default: a published potential, minutes) or quantumespresso (DFT)
  --pseudos FOLDER   UPF files, one per element; or the label of a family that is there already
  --cutoffs FILE     JSON: {"Si": {"cutoff_wfc": 40, "cutoff_rho": 200}} in Ry, for --pseudos FOLDER
  --env FOLDER       the Python environment to make or use, by default .venv
  --set-up-only      do not search

The AiiDA profile, the jobs and the pictures are kept in .prospect (PROSPECT_HOME names another folder); run it again as often
as you like, what is there is not made again. Examples:

  bash deploy/quickstart.sh
  bash deploy/quickstart.sh --labels quantumespresso
  bash deploy/quickstart.sh Na4Cl4 --max-labels 100 --seed 2
TXT
}

parse_arguments() {
    ENVIRONMENT="$ROOT/.venv" FORMULA=Si8 LABELS=calculator PSEUDOS='' CUTOFFS='' SEARCH=yes FORWARDED=()
    if [[ ${1:-} == [A-Z]* ]]; then
        FORMULA=$1
        shift
    fi
    while (($#)); do
        case $1 in
            -h | --help) usage && exit ;;
            --set-up-only) SEARCH=no && shift ;;
            --labels | --pseudos | --cutoffs | --env)
                (($# > 1)) || die "$1 needs a value"
                case $1 in
                    --labels) LABELS=$2 ;;
                    --pseudos) PSEUDOS=$2 ;;
                    --cutoffs) CUTOFFS=$2 ;;
                    --env) ENVIRONMENT=$(realpath -m "$2") ;;
                esac
                shift 2
                ;;
            *) FORWARDED+=("$1") && shift ;;
        esac
    done
    [[ -z $CUTOFFS || -d $PSEUDOS ]] || die '--cutoffs belongs to --pseudos FOLDER'
}

# Write what a shell must source to work with this profile later.
write_activate() {
    cat >"$HOME_FOLDER/activate" <<TXT
# To be sourced: the environment and the AiiDA profile of the quick start.
source "$ENVIRONMENT/bin/activate"
export AIIDA_PATH="$HOME_FOLDER" OMP_NUM_THREADS=1 DP_INTRA_OP_PARALLELISM_THREADS=1 DP_INTER_OP_PARALLELISM_THREADS=1
TXT
}

set_up() {
    mkdir -p "$HOME_FOLDER/work"
    install_ps
    make_environment "$ENVIRONMENT"
    pip_install "$ENVIRONMENT" package --editable '.[deepmd,qe]'
    local options=(--python "$ENVIRONMENT/bin/python" --work "$HOME_FOLDER/work")
    if [[ $LABELS == quantumespresso ]]; then
        install_pw || die "$HOW_TO_GET_PW"
        options+=(--pw "$(command -v pw.x)")
    fi
    write_activate
    "$ENVIRONMENT/bin/python" -W ignore "$ROOT/deploy/setup_profile.py" "${options[@]}"
}

# Add what `--labels quantumespresso` needs to the options of the search.
choose_pseudos() {
    FORWARDED+=(--code pw@localhost)
    if [[ -z $PSEUDOS || -d $PSEUDOS ]]; then
        local options=(--formula "$FORMULA")
        [[ -z $PSEUDOS ]] || options+=(--folder "$PSEUDOS")
        [[ -z $CUTOFFS ]] || options+=(--cutoffs "$CUTOFFS")
        PSEUDOS=$("$ENVIRONMENT/bin/python" "$ROOT/deploy/setup_pseudos.py" "${options[@]}") || exit 1
    fi
    FORWARDED+=(--pseudos "$PSEUDOS")
}

search() {
    local picture="$HOME_FOLDER/$FORMULA-$LABELS.png" options=(--labels "$LABELS" --run) code=0
    [[ " ${FORWARDED[*]} " == *' --protocol'* ]] || options+=(--protocol fast)
    [[ " ${FORWARDED[*]} " == *' --picture'* ]] || options+=(--picture "$picture")
    [[ $FORMULA =~ ^Si[0-9]*$ && " ${FORWARDED[*]} " != *' --reference'* ]] && options+=(--reference "$ROOT/examples/structures/Si_diamond.cif")
    say "aiida-prospect search $FORMULA ${options[*]} ${FORWARDED[*]}"
    "$ENVIRONMENT/bin/aiida-prospect" search "$FORMULA" "${options[@]}" "${FORWARDED[@]}" || code=$?
    say 'To look at it again, and to go on:'
    cat >&2 <<TXT
    source ${HOME_FOLDER/#"$PWD/"/}/activate
    verdi process list -a            # PK of the search
    aiida-prospect show PK           # minima, labels, cycles, why it ended, what it cost; --json for programs
    aiida-prospect search --help
TXT
    return $code
}

parse_arguments "$@"
HOME_FOLDER=$(realpath -m "${PROSPECT_HOME:-$ROOT/.prospect}")
export AIIDA_PATH=$HOME_FOLDER
one_thread
set_up
[[ $LABELS != quantumespresso ]] || choose_pseudos
[[ $SEARCH == no ]] || search
