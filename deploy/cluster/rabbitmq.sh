# shellcheck shell=bash
# RabbitMQ, with an `epmd` of its own; Erlang would otherwise start one for all that stays.

erlang_environment() {
    local folder=$STATE/rabbitmq
    ERLANG=(env "HOME=$folder/home" ERL_EPMD_ADDRESS=127.0.0.1 "ERL_EPMD_PORT=$EPMD_PORT"
        RABBITMQ_NODENAME=prospect@localhost "RABBITMQ_CONFIG_FILE=$folder/rabbitmq.conf"
        "RABBITMQ_ENABLED_PLUGINS_FILE=$folder/enabled_plugins" "RABBITMQ_MNESIA_BASE=$folder/mnesia"
        "RABBITMQ_LOG_BASE=$folder/log" "RABBITMQ_PID_FILE=$folder/pid" "RABBITMQ_DIST_PORT=$RABBITMQ_DIST"
        'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}'
        'RABBITMQ_CTL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}')
}

run_epmd() { launch epmd epmd -port "$EPMD_PORT" -address 127.0.0.1; }

ready_epmd() { is_open "$EPMD_PORT"; }

prepare_rabbitmq() {
    local folder=$STATE/rabbitmq
    mkdir -p "$folder"/{home,mnesia,log}
    umask 077
    # By default a message that is not acknowledged in half an hour closes the channel, and a process may take days.
    cat >"$folder/rabbitmq.conf" <<TXT
listeners.tcp.1 = 127.0.0.1:$RABBITMQ_PORT
default_user = aiida
default_pass = $(<"$STATE/secrets/rabbitmq")
consumer_timeout = 36000000000
TXT
    umask 022
    printf '[].\n' >"$folder/enabled_plugins"
}

# With RABBITMQ_ALLOW_INPUT the script replaces itself by the server, which ends in good order on TERM.
run_rabbitmq() {
    erlang_environment
    launch rabbitmq "${ERLANG[@]}" RABBITMQ_ALLOW_INPUT=1 /usr/lib/rabbitmq/bin/rabbitmq-server -noinput
}

# It opens the port when all else is done.
ready_rabbitmq() { is_open "$RABBITMQ_PORT"; }
