# Sourced by the tests that need a real Slurm: a cluster of this one machine, made for the test, on ports and in folders of its
# own. Needs root and Debian's packages slurmctld, slurmd, slurm-client, slurm-wlm-basic-plugins and munge; exit status 77 (skipped)
# without.
# shellcheck shell=bash
limit_s=420 # a hang, not a duration

skip() {
    echo "skipped: $*"
    exit 77
}
fail() {
    echo "FAILED: $*" >&2
    tail -n 20 "$work"/*.log "$work"/*.out >&2 2>/dev/null || true
    exit 1
}

[ "$(id -u)" = 0 ] || skip "a Slurm of one's own needs root"
PATH=$PATH:/usr/sbin
for tool in slurmctld slurmd munged sbatch srun scontrol squeue; do
    command -v $tool >/dev/null || skip "$tool is not installed (Debian: slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge)"
done

work=$(mktemp -d /tmp/vgg11-slurm-XXXXXX)
chmod 755 "$work"
daemons=()
cleanup() {
    scancel --user=root 2>/dev/null || true
    # Without mercy: a slurmd that is asked to end waits for the jobs of a test that failed.
    for daemon in "${daemons[@]}"; do kill -KILL "$daemon" 2>/dev/null || true; done
    for daemon in "${daemons[@]}"; do wait "$daemon" 2>/dev/null || true; done
    rm -rf "$work"
}
trap cleanup EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'; }

# Calls "$@" until it succeeds.
wait_until() {
    local deadline=$((SECONDS + limit_s))
    until "$@"; do
        [ $SECONDS -lt $deadline ] || fail "never came to: $*"
        sleep 0.5
    done
}

# The lines of slurm.conf: describe_nodes <number> <host>
describe_nodes() {
    local number
    if [ "$1" = 1 ]; then
        slurmd -C | sed -n 's/ UpTime=.*/ State=UNKNOWN/; /^NodeName/p'
        return
    fi
    for ((number = 1; number <= $1; number++)); do
        echo "NodeName=node$number NodeHostname=$2 Port=$(free_port) CPUs=1 State=UNKNOWN"
    done
}

# start_cluster <number of nodes>: one node is this machine as it is, several are this machine under as many names, with a
# processor each, and with a folder each for what PMIx names after job and step alone.
start_cluster() {
    local host count=$1 node
    host=$(hostname -s)
    mkdir "$work/munge" "$work/state"
    chmod 700 "$work/munge"
    dd if=/dev/urandom of="$work/munge/key" bs=128 count=1 status=none
    chmod 400 "$work/munge/key"
    # The folder of the socket is everybody's, as is munge's own.
    mkdir -m 755 "$work/socket"
    munged --foreground --force --key-file="$work/munge/key" --socket="$work/socket/munge" --pid-file="$work/munge/pid" \
        --log-file="$work/munge/log" --seed-file="$work/munge/seed" >"$work/munged.log" 2>&1 &
    daemons+=($!)
    wait_until test -S "$work/socket/munge"

    export SLURM_CONF=$work/slurm.conf
    cat >"$SLURM_CONF" <<END
ClusterName=vgg11
SlurmctldHost=$host
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$work/socket/munge,cred_expire=5
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool-%n
TmpFS=$work/tmp-%n
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,sched_interval=2
$(describe_nodes "$count" "$host")
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=25
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=2 PreemptMode=OFF
END
    slurmctld -D >"$work/slurmctld.log" 2>&1 &
    daemons+=($!)
    for node in $(sed -n 's/^NodeName=\([^ ]*\).*/\1/p' "$SLURM_CONF"); do
        mkdir "$work/tmp-$node"
        slurmd -D -N "$node" >"$work/slurmd-$node.log" 2>&1 &
        daemons+=($!)
    done
    wait_until eval '[ "$(sinfo --noheader --partition=test --states=idle --format=%D 2>/dev/null)" = '"$count"' ]'
}
