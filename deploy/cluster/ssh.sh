# shellcheck shell=bash
# sshd on loopback, with keys of its own, and the configuration of the client in a home folder of its own.

prepare_sshd() {
    local folder=$STATE/ssh client=$STATE/home/.ssh
    install -d -m 700 "$folder" "$STATE/home" "$client"
    [[ -f $folder/host_key ]] || ssh-keygen -q -t ed25519 -N '' -C prospect-cluster -f "$folder/host_key"
    [[ -f $client/id_ed25519 ]] || ssh-keygen -q -t ed25519 -N '' -C prospect-cluster -f "$client/id_ed25519"
    install -m 600 "$client/id_ed25519.pub" "$folder/authorized_keys"
    # The path is fixed in sshd; it is taken away again if it was not there.
    if [[ ! -d /run/sshd ]]; then
        mkdir -m 755 /run/sshd
        touch "$STATE/made-run-sshd"
    fi
    # The folder of a job must know to which SLURM it belongs, and be recognised as part of this cluster.
    cat >"$folder/sshd_config" <<TXT
Port $SSH_PORT
ListenAddress 127.0.0.1
HostKey $folder/host_key
PidFile $folder/sshd.pid
AuthorizedKeysFile $folder/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
MaxStartups 100
MaxSessions 100
Subsystem sftp internal-sftp
SetEnv SLURM_CONF=$SLURM_CONF $OWNER=$STATE
TXT
    printf '[127.0.0.1]:%s %s\n' "$SSH_PORT" "$(<"$folder/host_key.pub")" >"$client/known_hosts"
    cat >"$client/config" <<TXT
Host prospect-cluster
  HostName 127.0.0.1
  Port $SSH_PORT
  User root
  IdentityFile $client/id_ed25519
  IdentitiesOnly yes
  UserKnownHostsFile $client/known_hosts
TXT
}

run_sshd() { launch sshd "$(command -v sshd)" -D -e -f "$STATE/ssh/sshd_config"; }

ready_sshd() { ssh -F "$STATE/home/.ssh/config" -o BatchMode=yes prospect-cluster sinfo; }
