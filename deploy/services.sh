#!/usr/bin/env bash
# PostgreSQL and RabbitMQ in containers, for real work; see `usage` below, and docs/deployment.md for a machine without containers.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=deploy/lib.sh
source "$ROOT/deploy/lib.sh"

usage() {
    cat <<'TXT'
  bash deploy/services.sh up        start the services and wait until they answer; passwords are made the first time
  bash deploy/services.sh down      end them; the data stay in their volumes
  bash deploy/services.sh status    how they are

  PROSPECT_SECRETS         file with the passwords, of mode 600, by default ~/.config/aiida-prospect/secrets.env
  PROSPECT_POSTGRES_PORT, PROSPECT_RABBITMQ_PORT   by default 5432 and 5672; the first `up` writes them into the file
  PROSPECT_BIND            address to listen on, by default 127.0.0.1
TXT
}

find_compose() {
    if docker compose version >/dev/null 2>&1; then
        COMPOSE=(docker compose)
    elif podman compose version >/dev/null 2>&1; then
        COMPOSE=(podman compose)
    elif command -v podman-compose >/dev/null; then
        COMPOSE=(podman-compose)
    else
        # shellcheck disable=SC2016 # no command is meant
        die 'neither `docker compose` nor `podman compose` works here; docs/deployment.md says how to do without'
    fi
    COMPOSE+=(--env-file "$SECRETS" --file "$ROOT/deploy/compose.yaml")
}

# Whoever has the passwords has the data: they are made here and go nowhere else.
make_secrets() {
    if [[ -f $SECRETS ]]; then
        [[ $(stat -c %a "$SECRETS") == ?00 ]] || die "others may read $SECRETS; mend it with: chmod 600 $SECRETS"
        return
    fi
    mkdir -p "$(dirname "$SECRETS")"
    (
        umask 077
        cat >"$SECRETS" <<TXT
PROSPECT_POSTGRES_HOST=127.0.0.1
PROSPECT_POSTGRES_PORT=${PROSPECT_POSTGRES_PORT:-5432}
PROSPECT_POSTGRES_USER=aiida
PROSPECT_POSTGRES_DATABASE=aiida
PROSPECT_POSTGRES_PASSWORD=$(random_password)
PROSPECT_RABBITMQ_HOST=127.0.0.1
PROSPECT_RABBITMQ_PORT=${PROSPECT_RABBITMQ_PORT:-5672}
PROSPECT_RABBITMQ_USER=aiida
PROSPECT_RABBITMQ_PASSWORD=$(random_password)
TXT
    )
    say "passwords were made: $SECRETS"
}

healthy() { [[ $("${COMPOSE[@]}" ps 2>/dev/null | grep -c '(healthy)') -ge 2 ]]; }

up() {
    make_secrets
    find_compose
    "${COMPOSE[@]}" up --detach postgres rabbitmq
    wait_until 180 healthy || die 'the services do not answer: bash deploy/services.sh status'
    say "the services are up. Next: python deploy/setup_cluster.py profile --secrets $SECRETS"
}

SECRETS=${PROSPECT_SECRETS:-${XDG_CONFIG_HOME:-$HOME/.config}/aiida-prospect/secrets.env}
case ${1:-} in
    up) up ;;
    down | status)
        [[ -f $SECRETS ]] || die "$SECRETS is not there, so no services were started from here"
        find_compose
        if [[ $1 == down ]]; then "${COMPOSE[@]}" down; else "${COMPOSE[@]}" ps; fi
        ;;
    -h | --help | help) usage ;;
    *) usage >&2 && exit 2 ;;
esac
