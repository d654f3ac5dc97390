#!/usr/bin/env bash
# Runs an MPI program over several "machines" made of Linux namespaces: each has a network stack and a host name of its own
# and a veth link, shaped by a token bucket, to a bridge in the first. mpirun reaches them through an agent in place of ssh,
# so MPI sees several nodes and talks TCP between them.
#
#   with_hosts.sh RANKS[,RANKS...] PROGRAM [ARG...]     e.g. with_hosts.sh 3,2 ./test_exchange
#
# Environment: HOSTS_RATE (default 1gbit; needs the kernel's tbf), HOSTS_DELAY (e.g. 2ms; needs its netem).
# Ends with a line on standard error for each link: the bytes that went over it.
# Exit status: the program's; 77 where namespaces are not allowed.
set -euo pipefail

skip() {
    echo "skipped: $*"
    exit 77
}

[ $# -ge 2 ] || { echo "usage: with_hosts.sh RANKS[,RANKS...] PROGRAM [ARG...]" >&2; exit 2; }
IFS=, read -ra ranks <<<"$1"
shift
PATH=$PATH:/usr/sbin:/sbin
for tool in ip tc unshare nsenter setpriv mpirun; do
    command -v "$tool" >/dev/null || skip "$tool is not installed"
done
# Who is not root may be it in a namespace of users.
if [ "$(id -u)" != 0 ]; then
    unshare --user --map-root-user true 2>/dev/null || skip "network namespaces need root, or namespaces of users"
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    exec unshare --user --map-root-user -- "$0" "$(IFS=,; echo "${ranks[*]}")" "$@"
fi
why=$(unshare --net --uts true 2>&1) || skip "this system allows no network namespaces ($why)"

rate=${HOSTS_RATE:-1gbit}
folder=$(mktemp -d)
tag=v$$
pids=()

cleanup() {
    [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
    rm -rf "$folder"
}
trap cleanup EXIT

# A namespace lives as long as the process that waits in it, and that no longer than this script.
start_host() { # INDEX
    local ready="$folder/ready$1"
    mkfifo "$ready"
    setpriv --pdeathsig KILL unshare --net --uts \
        sh -c "hostname vgghost$1 && ip link set lo up && echo ok >'$ready' && exec sleep infinity" 2>"$folder/why" &
    pids[$1]=$!
    local answer=""
    read -r -t 10 answer <>"$ready" || true
    [ "$answer" = ok ] || skip "no namespace for host $1 ($(head -1 "$folder/why"))"
}

inside() { # INDEX COMMAND...
    local index=$1
    shift
    nsenter -t "${pids[$index]}" --net --uts -- "$@"
}

connect_host() { # INDEX
    local outer="$tag-$1"
    inside 0 ip link add "$outer" type veth peer name uplink netns "${pids[$1]}"
    inside 0 ip link set "$outer" master bridge up
    inside "$1" ip addr add "10.77.0.$((10 + $1))/24" dev uplink
    inside "$1" ip link set uplink up
    shape "$1"
}

# Both directions: what the host sends, and what the bridge sends to it.
shape() { # INDEX
    inside "$1" tc qdisc add dev uplink root handle 1: tbf rate "$rate" burst 1mb latency 100ms 2>/dev/null &&
        inside 0 tc qdisc add dev "$tag-$1" root tbf rate "$rate" burst 1mb latency 100ms ||
        echo "note: this kernel cannot shape the rate of a link" >&2
    [ -z "${HOSTS_DELAY:-}" ] || inside "$1" tc qdisc add dev uplink parent 1:1 netem delay "$HOSTS_DELAY" 2>/dev/null ||
        echo "note: this kernel cannot delay packets" >&2
}

tell_traffic() { # INDEX
    awk -v host="vgghost$1" '$1 == "uplink:" { printf "%s: %.0f bytes received, %.0f bytes sent\n", host, $2, $10 }' \
        "/proc/${pids[$1]}/net/dev" >&2
}

for index in "${!ranks[@]}"; do
    start_host "$index"
done
inside 0 ip link add bridge type bridge 2>/dev/null || skip "this kernel makes no bridges"
inside 0 ip addr add 10.77.0.10/24 dev bridge
inside 0 ip link set bridge up
for ((index = 1; index < ${#ranks[@]}; index++)); do
    connect_host "$index"
done

# The agent is called as ssh would be: HOST COMMAND...
{
    echo '#!/bin/sh'
    echo 'host=$1; shift'
    echo 'case $host in'
    for index in "${!ranks[@]}"; do
        echo "vgghost$index) pid=${pids[$index]};;"
    done
    echo '*) echo "unknown host $host" >&2; exit 1;;'
    echo 'esac'
    echo 'exec nsenter -t "$pid" --net --uts -- sh -c "$*"'
} >"$folder/agent"
chmod +x "$folder/agent"

hosts=""
total=0
for index in "${!ranks[@]}"; do
    hosts+="${hosts:+,}vgghost$index:${ranks[$index]}"
    total=$((total + ranks[index]))
done

# Open MPI's own files lie in this run's folder: hosts of the same names in another run have theirs.
status=0
inside 0 env TMPDIR="$folder" OMPI_MCA_orte_keep_fqdn_hostnames=1 mpirun --oversubscribe --bind-to none -np "$total" --host "$hosts" \
    --mca plm_rsh_agent "$folder/agent" --mca plm_rsh_no_tree_spawn 1 \
    --mca btl tcp,vader,self --mca btl_tcp_if_include 10.77.0.0/24 --mca oob_tcp_if_include 10.77.0.0/24 \
    --map-by slot "$@" || status=$?
for ((index = 1; index < ${#ranks[@]}; index++)); do
    tell_traffic "$index"
done
exit "$status"
