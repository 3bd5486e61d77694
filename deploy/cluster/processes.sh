# shellcheck shell=bash
# Starting, watching and ending the services of the test cluster. A service NAME is described by functions: `prepare_NAME` makes
# its files, `run_NAME` calls `launch`, `ready_NAME` tells whether it answers, `finish_NAME` does what needs it running. All but
# `run_` and `ready_` may be missing. `slurmd-n1` is the service `slurmd` with the argument `n1`.

READY_TIMEOUT=${PROSPECT_CLUSTER_TIMEOUT:-120}
STOP_TIMEOUT=30
declare -A STOP_SIGNAL=([postgres]=INT)

# The start time of a process, in clock ticks after boot: with it a number that the kernel gave again is recognised.
start_time() {
    local line
    { line=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
    line=${line##*) }
    # shellcheck disable=SC2086 # split on purpose
    set -- $line
    [[ $1 != Z ]] || return 1
    printf '%s' "${20}"
}

# Print the number of the process of a service, if it lives.
is_alive() {
    local pid started
    { read -r pid started <"$STATE/run/$1.pid"; } 2>/dev/null || return 1
    [[ $(start_time "$pid") == "$started" ]] || return 1
    PID=$pid
}

# launch SERVICE COMMAND...: start it in a session of its own, in the foreground mode that it has.
launch() {
    local service=$1
    shift
    # The lock (9) is not handed on. What is started carries a mark that its children inherit.
    "${HOSTNAME_PREFIX[@]}" env "$OWNER=$STATE" setsid "$@" </dev/null >>"$STATE/log/$service.log" 2>&1 9>&- &
    wait_until 5 started_itself $! || true
    printf '%s %s\n' $! "$(start_time $!)" >"$STATE/run/$service.pid"
}

# `env` and `setsid` replace themselves, so the number stays; nothing to wait for but that the process is there.
started_itself() { [[ -e /proc/$1 ]]; }

call() {
    local function=$1_${2%%-*} argument=${2#*-}
    if declare -F "$function" >/dev/null; then "$function" "$argument"; fi
}

is_ready() { call ready "$1" >/dev/null 2>&1; }

ready_or_dead() { is_ready "$1" || ! is_alive "$1"; }

start_service() {
    local service=$1
    if ! is_alive "$service"; then
        say "starting $service"
        call prepare "$service"
        call run "$service"
    fi
    wait_until "$READY_TIMEOUT" ready_or_dead "$service" || true
    if ! is_alive "$service" || ! is_ready "$service"; then
        tail -n 20 "$STATE/log/$service.log" >&2
        die "$service is not ready after $READY_TIMEOUT s, or has ended"
    fi
    call finish "$service"
}

is_dead() { ! is_alive "$1"; }

# stop_service SERVICE [SIGNAL]
stop_service() {
    local service=$1 signal=${2:-${STOP_SIGNAL[$1]:-TERM}}
    if is_alive "$service"; then
        kill -s "$signal" "$PID"
        if ! wait_until "$STOP_TIMEOUT" is_dead "$service"; then
            warn "$service did not end in $STOP_TIMEOUT s and is killed; its log: $STATE/log/$service.log"
            kill -s KILL "$PID" 2>/dev/null || true
            wait_until 10 is_dead "$service" || die "$service cannot be ended"
        fi
    fi
    rm -f "$STATE/run/$service.pid"
}

# Print the processes that carry the mark of this cluster: children of services that outlive them.
stragglers() {
    local folder
    for folder in /proc/[0-9]*; do
        if grep -qszxF "$OWNER=$STATE" "$folder/environ" && start_time "${folder#/proc/}" >/dev/null; then
            printf '%s\n' "${folder#/proc/}"
        fi
    done
}

no_stragglers() { [[ -z $(stragglers) ]]; }

end_stragglers() {
    local signal
    for signal in TERM KILL; do
        stragglers | xargs -r kill -s $signal 2>/dev/null || true
        if wait_until 5 no_stragglers; then return 0; fi
    done
    die "these processes cannot be ended: $(stragglers | xargs)"
}
