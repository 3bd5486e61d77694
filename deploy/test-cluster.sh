#!/usr/bin/env bash
# A small cluster on this machine for tests: PostgreSQL, RabbitMQ, and SLURM with accounting behind sshd; see `usage` below.
# It is for tests only: jobs run as root and no resource limit is enforced by the kernel.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=deploy/lib.sh
source "$ROOT/deploy/lib.sh"
for part in processes state postgres rabbitmq slurm ssh; do
    # shellcheck source=/dev/null
    source "$ROOT/deploy/cluster/$part.sh"
done

usage() {
    cat <<'TXT'
  bash deploy/test-cluster.sh up               install what is missing, start what does not run, wait until all is ready
  bash deploy/test-cluster.sh down             end all that `up` started, with its jobs, and remove the state folder
  bash deploy/test-cluster.sh status           one line a service; exit status 1 if one is not ready
  bash deploy/test-cluster.sh start SERVICE    start one service and wait until it is ready
  bash deploy/test-cluster.sh stop SERVICE     end one service; a signal may follow: stop postgres KILL

For Debian, as root; systemd is not needed. Everything listens on loopback, on ports of its own, and is kept in one folder:

  PROSPECT_CLUSTER_DIR     the state folder, by default ~/.prospect-cluster
  PROSPECT_CLUSTER_PORT    the first of 16 free ports, by default looked for from 17600
  PROSPECT_CLUSTER_CPUS    CPUs of each node, by default 2, whatever the machine has

In the state folder: `secrets.env` (mode 600) for deploy/setup_cluster.py, and `activate`, to be sourced, which lets the SLURM
commands and `core.ssh_async` (host `prospect-cluster`) find the cluster. Partitions: cpu (nodes n1, n2) and gpu (node n3, with
a GPU that SLURM counts but that does not exist).
TXT
    printf '\nServices: %s\n' "${SERVICES[*]}"
}

# In the order in which they are started.
SERVICES=(postgres epmd rabbitmq munge mariadb slurmdbd slurmctld slurmd-n1 slurmd-n2 slurmd-n3 sshd)

up() {
    local service fresh=no
    [[ -f $STATE/$MARK ]] || fresh=yes
    install_cluster_packages
    if [[ $fresh == yes ]]; then make_state; fi
    load_state
    [[ $fresh == no ]] || trap 'undo_failed_up' EXIT
    for service in "${SERVICES[@]}"; do
        start_service "$service"
    done
    write_client_files
    trap - EXIT
    say "the cluster is up; its files are in $STATE"
}

# A cluster that never came up is of no use to anybody.
undo_failed_up() {
    warn 'the cluster did not come up, so what was started is ended'
    down
    exit 1
}

down() {
    local service index
    if [[ ! -f $STATE/$MARK ]]; then
        say "no cluster in $STATE"
        return 0
    fi
    load_state
    cancel_jobs
    for ((index = ${#SERVICES[@]} - 1; index >= 0; index--)); do
        service=${SERVICES[index]}
        stop_service "$service"
    done
    end_stragglers
    remove_state
    say 'the cluster is down'
}

status() {
    local service code=0
    [[ -f $STATE/$MARK ]] || die "no cluster in $STATE; make one: bash deploy/test-cluster.sh up"
    load_state
    for service in "${SERVICES[@]}"; do
        if ! is_alive "$service"; then
            printf '%-10s does not run; its log: %s\n' "$service" "$STATE/log/$service.log"
            code=1
        elif ! is_ready "$service"; then
            printf '%-10s runs, but is not ready; its log: %s\n' "$service" "$STATE/log/$service.log"
            code=1
        else
            printf '%-10s ready\n' "$service"
        fi
    done
    return $code
}

one_service() {
    local action=$1 service=${2:-}
    [[ " ${SERVICES[*]} " == *" $service "* && -n $service ]] || die "which service? One of: ${SERVICES[*]}"
    [[ -f $STATE/$MARK ]] || die "no cluster in $STATE"
    load_state
    "${action}_service" "$service" "${@:3}"
}

main() {
    case ${1:-} in
        up | down | start | stop)
            [[ $(id -u) == 0 ]] || die 'the test cluster must be run as root: SLURM starts jobs as any user'
            lock_state
            ;;
    esac
    case ${1:-} in
        up | down | status) "$1" ;;
        start | stop) one_service "$@" ;;
        -h | --help | help) usage ;;
        *) usage >&2 && exit 2 ;;
    esac
}

STATE=$(realpath -m "${PROSPECT_CLUSTER_DIR:-$HOME/.prospect-cluster}")
main "$@"
