#!/usr/bin/env bash
# Runs vgg11_dist on this machine, with ranks and threads from the cores at hand.
set -euo pipefail
# shellcheck source=launch/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
    cat <<'END'
Usage: launch/local.sh [--ranks N] [--threads N] [--dry-run] [COMMAND] [OPTION of vgg11_dist...]
Runs vgg11_dist under mpirun on this machine. All further words go to vgg11_dist.

  --ranks N     processes, as mpirun's own -n N and -np N (default $RANKS, else one for each memory (NUMA) node)
  --threads N   threads of each (default $THREADS, else the cores divided by the ranks)
  --dry-run     print the command instead of running it
  --help        print this text (for that of the program: vgg11_dist --help)

Environment: VGG11_DIST (the program), MPIRUN (default mpirun), MPIRUN_FLAGS (further words for it).
Ctrl-C (SIGINT), SIGTERM, SIGHUP or SIGUSR1 to this script: the run saves a checkpoint and ends with status 75; once more: it ends at
once. Ranks are bound to cores of their own where they use all cores of the machine, and not at all otherwise: mpirun would take the
first cores, whatever this shell may use (taskset) and whoever else works there.
END
}

ranks=${RANKS:-} threads=${THREADS:-} dry_run=no
while [ $# -gt 0 ]; do
    case $1 in
        --ranks=*) ranks=${1#*=} ;;
        --threads=*) threads=${1#*=} ;;
        --ranks | -n | -np | --threads)
            [ $# -gt 1 ] || { echo "$1: a number is missing" >&2; exit 2; }
            if [ "$1" = --threads ]; then threads=$2; else ranks=$2; fi
            shift
            ;;
        --dry-run) dry_run=yes ;;
        --help) usage; exit 0 ;;
        --) shift; break ;;
        *) break ;;
    esac
    shift
done

cores=$(count_cores)
ranks=$(positive "${ranks:-$(count_memory_nodes)}" --ranks) || exit 2
share=$((cores / ranks > 0 ? cores / ranks : 1))
threads=$(positive "${threads:-$share}" --threads) || exit 2

program=$(find_program)

binding=(--bind-to none)
if [ $((ranks * threads)) -gt "$cores" ]; then
    binding=(--oversubscribe --bind-to none)
elif [ $((ranks * threads)) -eq "$(count_machine_cores)" ]; then
    binding=(--map-by "slot:PE=$threads" --bind-to core)
fi
read -r -a flags <<<"${MPIRUN_FLAGS:-}"
command=("${MPIRUN:-mpirun}" -np "$ranks" "${binding[@]}" "${flags[@]}" "$program" --threads "$threads" "$@")
if [ $dry_run = yes ]; then
    printf '%q ' "${command[@]}"
    echo
    exit 0
fi
run_ranks "${command[@]}"
