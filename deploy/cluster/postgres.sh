# shellcheck shell=bash
# PostgreSQL: it refuses to run as root, so it runs as its own user.

postgres_folder() {
    local folder newest=''
    for folder in /usr/lib/postgresql/*/bin; do
        if [[ -x $folder/postgres ]]; then newest=$folder; fi
    done
    printf '%s' "$newest"
}

# The state folder may lie in a home folder that is closed to others; then the user may pass it nonetheless.
as_postgres() {
    local user=(setpriv --reuid postgres --regid postgres --init-groups)
    if ! "${user[@]}" test -x "$STATE" 2>/dev/null; then
        user+=(--inh-caps +dac_override --ambient-caps +dac_override)
    fi
    POSTGRES=("${user[@]}" "$@")
}

prepare_postgres() {
    local folder=$STATE/postgres
    if [[ -f $folder/data/PG_VERSION ]]; then return 0; fi
    install -d -o postgres -g postgres -m 700 "$folder"
    install -o postgres -g postgres -m 600 "$STATE/secrets/postgres" "$folder/password"
    as_postgres "$(postgres_folder)/initdb" --pgdata "$folder/data" --username postgres --pwfile "$folder/password" \
        --auth scram-sha-256 --encoding UTF8 --locale C.UTF-8 --no-sync
    quietly "${POSTGRES[@]}" || die 'the database cluster could not be made'
    rm -f "$folder/password"
}

run_postgres() {
    as_postgres "$(postgres_folder)/postgres" -D "$STATE/postgres/data" -p "$POSTGRES_PORT" -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories= -c max_connections=200
    launch postgres "${POSTGRES[@]}"
}

sql() {
    PGPASSWORD=$(<"$STATE/secrets/postgres") psql --no-psqlrc -q -t -A -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$POSTGRES_PORT" -U postgres -d postgres
}

ready_postgres() { sql <<<'select 1'; }

# The password goes in on standard input, not on a command line that everybody may read.
finish_postgres() {
    if [[ $(sql <<<"select count(*) from pg_roles where rolname = 'aiida'") == 0 ]]; then
        sql <<<"create role aiida login createdb password '$(<"$STATE/secrets/aiida")'"
    fi
    if [[ $(sql <<<"select count(*) from pg_database where datname = 'aiida'") == 0 ]]; then
        sql <<<"create database aiida owner aiida encoding 'UTF8' template template0"
    fi
}
