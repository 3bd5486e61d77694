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
    local last=''
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
                last='' && shift 2
                ;;
            *)
                # What follows an option may be its value.
                if [[ $1 != -* && $last != -* ]]; then FORMULA=$1; else FORWARDED+=("$1"); fi
                last=$1 && shift
                ;;
        esac
    done
    check_arguments
}

# Refuse now what would be found out after an installation of some GB.
check_arguments() {
    [[ $FORMULA =~ ^[A-Z][A-Za-z0-9()]*$ ]] || die "\`$FORMULA\` is no formula: give the content of one cell, such as Si8 or Na4Cl4"
    [[ $LABELS == calculator || $LABELS == quantumespresso ]] ||
        die "--labels $LABELS: the quick start knows calculator and quantumespresso; for others see docs/labels.md"
    [[ -z $PSEUDOS || $LABELS == quantumespresso ]] || die '--pseudos belongs to --labels quantumespresso'
    [[ -z $CUTOFFS || -d $PSEUDOS ]] || die '--cutoffs belongs to --pseudos FOLDER'
    [[ -z $CUTOFFS || -f $CUTOFFS ]] || die "there is no file $CUTOFFS"
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
    [[ $LABELS != quantumespresso ]] || install_pw || die "$HOW_TO_GET_PW"
    make_environment "$ENVIRONMENT"
    pip_install "$ENVIRONMENT" package --editable '.[deepmd,qe]'
    local options=(--python "$ENVIRONMENT/bin/python" --work "$HOME_FOLDER/work")
    if [[ $LABELS == quantumespresso ]]; then
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
    [[ " ${FORWARDED[*]} " == *' --picture'* || " ${FORWARDED[*]} " == *' --submit '* ]] || options+=(--picture "$picture")
    [[ $FORMULA =~ ^Si[0-9]*$ && " ${FORWARDED[*]} " != *' --reference'* ]] && options+=(--reference "$ROOT/examples/structures/Si_diamond.cif")
    say "aiida-prospect search $FORMULA ${options[*]} ${FORWARDED[*]}"
    "$ENVIRONMENT/bin/aiida-prospect" search "$FORMULA" "${options[@]}" "${FORWARDED[@]}" || code=$?
    say 'To look at it again, and to go on:'
    cat >&2 <<TXT
    $(how_to_activate)
    verdi process list -a            # PK of the search
    aiida-prospect show PK           # minima, labels, cycles, why it ended, what it cost; --json for programs
    aiida-prospect report PK         # a page with pictures
    aiida-prospect search --help
TXT
    return $code
}

how_to_activate() { printf 'source %q' "${HOME_FOLDER/#"$PWD/"/}/activate"; }

tell_what_is_next() {
    say 'All is set up. To go on:'
    cat >&2 <<TXT
    $(how_to_activate)
    aiida-prospect doctor            # looks whether all works
    aiida-prospect search $FORMULA --protocol fast
TXT
}

parse_arguments "$@"
HOME_FOLDER=$(realpath -m "${PROSPECT_HOME:-$ROOT/.prospect}")
export AIIDA_PATH=$HOME_FOLDER
one_thread
set_up
[[ $LABELS != quantumespresso ]] || choose_pseudos
if [[ $SEARCH == yes ]]; then search; else tell_what_is_next; fi
