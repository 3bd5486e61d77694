# shellcheck shell=bash
# SLURM: munge, MariaDB for the accounting, slurmdbd, slurmctld, and several slurmd as so many nodes.

prepare_munge() {
    install -d -m 755 "$STATE/munge"
    [[ -f $STATE/munge/key ]] || install -m 600 <(head -c 1024 /dev/urandom) "$STATE/munge/key"
}

# `--force`: the folder above may be closed to others; all that asks here is root.
run_munge() {
    launch munge munged --foreground --force --key-file="$STATE/munge/key" --socket="$STATE/munge/socket" \
        --pid-file="$STATE/munge/pid" --seed-file="$STATE/munge/seed"
}

ready_munge() { munge --no-input --socket="$STATE/munge/socket" | unmunge --socket="$STATE/munge/socket"; }

# Only the root of this machine may be root there, and only over the socket: no password is needed for it.
prepare_mariadb() {
    [[ ! -d $STATE/mariadb ]] || return 0
    quietly mariadb-install-db --no-defaults --user=root --datadir="$STATE/mariadb" --skip-test-db \
        --auth-root-authentication-method=socket --auth-root-socket-user=root || die 'the database of the accounting could not be made'
}

run_mariadb() {
    launch mariadb mariadbd --no-defaults --user=root --datadir="$STATE/mariadb" --socket="$STATE/mariadb/socket" \
        --bind-address=127.0.0.1 --port="$MARIADB_PORT" --pid-file="$STATE/mariadb/pid" \
        --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900
}

mariadb_root() { mariadb --no-defaults --socket="$STATE/mariadb/socket" --user=root; }

ready_mariadb() { mariadb_root <<<'select 1'; }

finish_mariadb() {
    mariadb_root <<TXT
create database if not exists slurm_acct_db;
create user if not exists slurm@localhost identified by '$(<"$STATE/secrets/slurmdbd")';
grant all on slurm_acct_db.* to slurm@localhost;
TXT
}

prepare_slurmdbd() {
    mkdir -p "$STATE"/slurm/{state,spool}
    install -m 600 /dev/stdin "$STATE/slurm/slurmdbd.conf" <<TXT
AuthType=auth/munge
AuthInfo=socket=$STATE/munge/socket
CommunicationParameters=NoInAddrAny
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=$SLURMDBD_PORT
SlurmUser=root
PidFile=$STATE/slurm/slurmdbd.pid
LogFile=$STATE/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$MARIADB_PORT
StorageUser=slurm
StoragePass=$(<"$STATE/secrets/slurmdbd")
StorageLoc=slurm_acct_db
TXT
    write_slurm_conf
}

# ReturnToService=2: a node that was away is used again as soon as it answers. linuxproc: no control groups are needed.
write_slurm_conf() {
    cat >"$SLURM_CONF" <<TXT
ClusterName=prospect
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=$SLURMCTLD_PORT
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$STATE/munge/socket
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation=$STATE/slurm/state
SlurmctldPidFile=$STATE/slurm/slurmctld.pid
SlurmdPidFile=$STATE/slurm/slurmd.%n.pid
SlurmdSpoolDir=$STATE/slurm/spool/%n
SlurmdParameters=config_overrides
SlurmdTimeout=30
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=1000
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,batch_sched_delay=0,bf_interval=2
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=5
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$SLURMDBD_PORT
AccountingStoragePass=$STATE/munge/socket
AccountingStorageTRES=gres/gpu
GresTypes=gpu
KillWait=5
OverTimeLimit=0
MinJobAge=60
InactiveLimit=0
MailProg=/bin/true
NodeName=n[1-2] NodeHostname=localhost NodeAddr=127.0.0.1 Port=[$((SLURMD_PORT + 1))-$((SLURMD_PORT + 2))] CPUs=$NODE_CPUS RealMemory=8000 State=UNKNOWN
NodeName=n3 NodeHostname=localhost NodeAddr=127.0.0.1 Port=$((SLURMD_PORT + 3)) CPUs=$NODE_CPUS RealMemory=8000 Gres=gpu:1 State=UNKNOWN
PartitionName=cpu Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
PartitionName=gpu Nodes=n3 MaxTime=INFINITE State=UP
TXT
    printf 'AutoDetect=off\nNodeName=n3 Name=gpu File=/dev/null\n' >"$STATE/slurm/gres.conf"
}

run_slurmdbd() { launch slurmdbd slurmdbd -D; }

ready_slurmdbd() { sacctmgr --noheader --parsable2 list cluster; }

finish_slurmdbd() {
    if ! sacctmgr --noheader --parsable2 list cluster format=cluster | grep -qx prospect; then
        quietly sacctmgr --immediate add cluster prospect
    fi
}

run_slurmctld() { launch slurmctld slurmctld -D; }

ready_slurmctld() { scontrol ping | grep -q UP; }

prepare_slurmd() { mkdir -p "$STATE/slurm/spool/$1"; }

run_slurmd() { launch "slurmd-$1" slurmd -D -N "$1"; }

ready_slurmd() { [[ $(sinfo --noheader --nodes "$1" --format %T | sort -u) =~ ^(idle|mixed|allocated|completing)$ ]]; }

queue_is_empty() { [[ -z $(squeue --noheader) ]]; }

# SLURM ends jobs better than signals do.
cancel_jobs() {
    is_alive slurmctld && is_ready slurmctld || return 0
    squeue --noheader --format %A | xargs -r scancel || true
    wait_until 20 queue_is_empty || warn 'SLURM did not end all jobs'
}
