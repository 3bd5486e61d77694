# shellcheck shell=bash
# The state folder of the test cluster: ports, passwords, what clients need. And the packages.

CLUSTER_PACKAGES=(postgresql rabbitmq-server slurmctld slurmd slurm-client slurmdbd mariadb-server munge openssh-server openssh-client)
CLUSTER_PROGRAMS=(rabbitmqctl epmd slurmctld slurmd sinfo slurmdbd mariadbd munged sshd ssh-keygen)
N_PORTS=16
# Name of the file that says that the folder may be removed, and of the variable that marks what was started.
# shellcheck disable=SC2034 # used by the other parts
MARK=.prospect-test-cluster OWNER=PROSPECT_CLUSTER_OWNER

# One command at a time on this machine, lest two clusters take the same ports. The lock is on a folder that is there anyway,
# goes with this process, and leaves no file.
lock_state() {
    mkdir -p "$(dirname "$STATE")"
    exec 9</tmp
    flock --wait 600 9 || die 'another command works on a test cluster of this machine, for ten minutes now'
}

install_cluster_packages() {
    local missing=() program
    PATH="$PATH:/usr/sbin:/sbin"
    for program in "${CLUSTER_PROGRAMS[@]}"; do
        command -v "$program" >/dev/null || missing+=("$program")
    done
    [[ -n $(postgres_folder) ]] || missing+=(postgres)
    ((${#missing[@]})) || return 0
    say "installing ${CLUSTER_PACKAGES[*]} (for ${missing[*]})"
    without_starting_services apt_install "${CLUSTER_PACKAGES[@]}" || die "apt could not install ${CLUSTER_PACKAGES[*]}"
}

# Debian starts a service as soon as its package is installed, on all interfaces; nobody asked for that here.
without_starting_services() {
    local policy=/usr/sbin/policy-rc.d code=0
    if [[ -e $policy ]]; then
        "$@"
        return 0
    fi
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    "$@" || code=$?
    rm -f "$policy"
    return $code
}

all_free() {
    local port
    for ((port = $1; port < $1 + N_PORTS; port++)); do
        if is_open "$port"; then return 1; fi
    done
}

find_ports() {
    local first
    if [[ -n ${PROSPECT_CLUSTER_PORT:-} ]]; then
        all_free "$PROSPECT_CLUSTER_PORT" || die "of the $N_PORTS ports from $PROSPECT_CLUSTER_PORT at least one is taken"
        printf '%s' "$PROSPECT_CLUSTER_PORT"
        return 0
    fi
    for ((first = 17600; first < 19600; first += 100)); do
        if all_free "$first"; then
            printf '%s' "$first"
            return 0
        fi
    done
    die 'no free ports from 17600 to 19600; name the first of 16 free ones: PROSPECT_CLUSTER_PORT'
}

make_state() {
    local first
    [[ ! -e $STATE || -z $(ls -A "$STATE") ]] || die "$STATE is not empty and not a test cluster; name another folder: PROSPECT_CLUSTER_DIR"
    # Paths of sockets have 108 bytes.
    ((${#STATE} <= 80)) || die "the path $STATE is too long for sockets in it"
    first=$(find_ports)
    mkdir -p "$STATE"
    chmod 755 "$STATE"
    touch "$STATE/$MARK"
    mkdir -p "$STATE/run"
    install -d -m 700 "$STATE"/{secrets,log,work}
    printf 'FIRST_PORT=%s\nNODE_CPUS=%s\n' "$first" "${PROSPECT_CLUSTER_CPUS:-2}" >"$STATE/settings"
    umask 077
    for name in postgres aiida rabbitmq slurmdbd; do
        random_password >"$STATE/secrets/$name"
    done
    umask 022
}

# shellcheck disable=SC2034 # used by the other parts
load_state() {
    PATH="$PATH:/usr/sbin:/sbin"
    # shellcheck source=/dev/null
    source "$STATE/settings"
    POSTGRES_PORT=$FIRST_PORT RABBITMQ_PORT=$((FIRST_PORT + 1)) RABBITMQ_DIST=$((FIRST_PORT + 2)) EPMD_PORT=$((FIRST_PORT + 3))
    MARIADB_PORT=$((FIRST_PORT + 4)) SLURMDBD_PORT=$((FIRST_PORT + 5)) SLURMCTLD_PORT=$((FIRST_PORT + 6))
    SSH_PORT=$((FIRST_PORT + 7)) SLURMD_PORT=$((FIRST_PORT + 10))
    export SLURM_CONF="$STATE/slurm/slurm.conf"
    choose_hostname
}

# SLURM can be told to listen only on the address of the name of its machine: that must be loopback.
choose_hostname() {
    HOSTNAME_PREFIX=()
    if [[ $(getent ahostsv4 "$(hostname)" | head -n 1) == 127.* ]]; then return 0; fi
    # shellcheck disable=SC2016 # "$@" belongs to the inner shell
    HOSTNAME_PREFIX=(unshare --uts sh -c 'hostname localhost && exec "$@"' sh)
    "${HOSTNAME_PREFIX[@]}" true 2>/dev/null || die "the name of this machine is no address of loopback, and only the loopback may be used.
Add a line to /etc/hosts: 127.0.1.1 $(hostname)"
}

# What deploy/setup_cluster.py reads, and what a shell needs.
write_client_files() {
    umask 077
    cat >"$STATE/secrets.env" <<TXT
PROSPECT_POSTGRES_HOST=127.0.0.1
PROSPECT_POSTGRES_PORT=$POSTGRES_PORT
PROSPECT_POSTGRES_USER=aiida
PROSPECT_POSTGRES_DATABASE=aiida
PROSPECT_POSTGRES_PASSWORD=$(<"$STATE/secrets/aiida")
PROSPECT_RABBITMQ_HOST=127.0.0.1
PROSPECT_RABBITMQ_PORT=$RABBITMQ_PORT
PROSPECT_RABBITMQ_USER=aiida
PROSPECT_RABBITMQ_PASSWORD=$(<"$STATE/secrets/rabbitmq")
TXT
    umask 022
    cat >"$STATE/activate" <<TXT
# To be sourced: lets the commands of SLURM and \`core.ssh_async\` find the test cluster. The latter reads ~/.ssh, so that the
# home folder is another one for as long as this shell lives; yours is not written to.
export PROSPECT_CLUSTER_DIR="$STATE" SLURM_CONF="$SLURM_CONF" HOME="$STATE/home"
TXT
}

remove_state() {
    [[ -f $STATE/$MARK ]] || die "$STATE is not a test cluster"
    if [[ -f $STATE/made-run-sshd ]] && ! pgrep -x sshd >/dev/null; then rmdir /run/sshd 2>/dev/null || true; fi
    rm -rf "$STATE"
}
