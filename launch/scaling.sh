#!/usr/bin/env bash
# Measures strong and weak scaling over ranks x threads, on this machine or over the nodes of an allocation: medians of repeats,
# as CSV, JSON and picture.
set -euo pipefail
export LC_ALL=C # awk writes and sort reads decimal points, whatever the user's language
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=launch/common.sh
. "$here/common.sh"
# shellcheck source=launch/scaling_results.sh
. "$here/scaling_results.sh"

usage() {
    cat <<'END'
Usage: launch/scaling.sh [--ranks "N ..."] [--threads T] [--shapes "RxT ..."] [--hostfile FILE] [--batch N] [--batch-per-core N]
                         [--steps N] [--repeats N] [--simulate GBITS] [--simulated FILE] [--output DIR] [--help]
                         [OPTION of vgg11_dist...]
Trains a few steps with each shape of R ranks x T threads, in turns, and writes DIR/scaling.csv, DIR/scaling.json and, with
gnuplot, DIR/scaling.svg. Strong scaling keeps the global batch; weak scaling keeps the images per core. It runs on this machine,
inside of a Slurm allocation over its tasks (by srun or mpirun, as launch/vgg11.sbatch does), or over the machines of a host file.

  --ranks "N ..."       rank counts (default in an allocation or host file: powers of two up to its tasks or slots)
  --threads T           threads of each of these ranks (default: the allocation's processors per task, else 1)
  --shapes "RxT ..."    both in one (default on one machine: 1x1, then powers of two up to its cores, as ranks and as threads)
  --hostfile FILE       starts mpirun with this host file, whose slots are counted
  --batch N             global batch of strong scaling (default $BATCH, else 128)
  --batch-per-core N    images per core and step of weak scaling (default $BATCH_PER_CORE, else 32)
  --steps N             steps of one run; the first quarter is not counted (default $STEPS, else 12)
  --repeats N           runs of each shape, of which median, least and most are shown (default $REPEATS, else 3)
  --simulate GBITS      also draws what bench/simulate_cluster.py predicts for nodes with links of so many Gb/s (needs SimGrid)
  --simulated FILE      also draws the predictions of a table that bench/simulate_cluster.py wrote elsewhere
  --output DIR          default $OUTPUT, else scaling-<time>; must be on a file system that all nodes see

Environment: VGG11_DIST, MPIRUN, MPIRUN_FLAGS as for launch/local.sh (the latter two also with --hostfile); LAUNCHER as for
launch/vgg11.sbatch. The first shape is what the others are compared with.
END
}

refuse() {
    echo "scaling.sh: $*" >&2
    exit 2
}

powers_up_to() {
    local size
    for ((size = 1; size <= $1; size *= 2)); do echo "$size"; done
}

# Slots of a host file as mpirun counts them: one for each line that names none.
count_slots() {
    sed 's/#.*//' "$1" | awk 'NF { n = 1; for (i = 2; i <= NF; i++) if (sub(/^slots=/, "", $i)) n = $i; sum += n } END { print sum + 0 }'
}
count_hosts() { sed 's/#.*//' "$1" | awk 'NF { print $1 }' | sort -u | wc -l; }

# Sets where the runs go, and what there is room for: place, slots (ranks of `threads` threads), node_count; for a host file also
# mpirun.
find_place() {
    place=local node_count=1
    if [ -n "$hostfile" ]; then
        place=hostfile slots=$(count_slots "$hostfile") node_count=$(count_hosts "$hostfile")
        [ "$slots" -gt 0 ] || refuse "--hostfile: there is no host in '$hostfile'"
        read -r -a mpirun <<<"${MPIRUN_FLAGS:-}"
        mpirun=("${MPIRUN:-mpirun}" --hostfile "$hostfile" "${mpirun[@]}")
    elif [ -n "${SLURM_JOB_ID:-}" ]; then
        place=slurm slots=${SLURM_NTASKS:-1} node_count=${SLURM_JOB_NUM_NODES:-1}
        slurm_launch 1 1 || exit 2
        if [ "${launch[0]}" = srun ]; then LAUNCHER=srun; else LAUNCHER=mpirun; fi
        threads=${threads:-${SLURM_CPUS_PER_TASK:-1}}
        slots=$((slots * ${SLURM_CPUS_PER_TASK:-1} / threads))
    else
        slots=$(count_cores)
        slots=$((slots / ${threads:-1}))
    fi
}

default_shapes() {
    local size
    for size in ${ranks_wanted:-$(powers_up_to "$slots")}; do
        echo "${size}x${threads:-1}"
        if [ "$place$ranks_wanted$threads" = local ] && [ "$size" -gt 1 ]; then echo "1x$size"; fi
    done
}

# Nodes that so many ranks with so many threads fill, one node after the other.
nodes_of() {
    local per_node=$(((slots * ${threads:-1} + node_count - 1) / node_count))
    local used=$((($1 * $2 + per_node - 1) / per_node))
    echo $((used < node_count ? used : node_count))
}

# Sets `launch` to what starts the program on so many ranks with so many threads each.
choose_launch() {
    local ranks=$1 threads=$2
    case $place in
        local)
            launch=("$here/local.sh" --ranks "$ranks" --threads "$threads")
            return
            ;;
        hostfile) launch=("${mpirun[@]}" -np "$ranks" --map-by "slot:PE=$threads" --bind-to core) ;;
        slurm)
            slurm_launch "$ranks" "$threads" --ntasks="$ranks" --nodes="$(nodes_of "$ranks" "$threads")" --distribution=block
            ;;
    esac
    launch+=("$program" --threads "$threads")
}

# Prints "load <average of a minute> <host> <cores>" for each node.
node_loads() {
    local cores load tell
    # shellcheck disable=SC2016 # expanded on the nodes
    cores='$(lscpu -p=CORE,SOCKET | grep -v "^#" | sort -u | wc -l)' load='read -r load rest </proc/loadavg'
    tell=(sh -c "$load; echo \"load \$load \$(uname -n) $cores\"")
    case $place in
        local) "${tell[@]}" ;;
        hostfile) "${mpirun[@]}" --map-by ppr:1:node "${tell[@]}" </dev/null ;;
        slurm)
            slurm_launch "$node_count" 1 --ntasks="$node_count" --nodes="$node_count" --ntasks-per-node=1 --mpi=none
            if [ "${launch[0]}" != srun ]; then launch=(mpirun --map-by ppr:1:node); fi
            "${launch[@]}" "${tell[@]}" </dev/null
            ;;
    esac
}

# Warns of each node whose load leaves the widest run less than the cores it takes there. Half a core is forgiven: the average
# remembers what ended a minute ago.
warn_if_busy() {
    local share
    share=$(printf '%s\n' "${shape_list[@]}" | awk -Fx -v all=$((slots * ${threads:-1})) -v nodes="$node_count" \
        '{ n = $1 * $2; if (n > most) most = n } END { each = all / nodes; print (nodes > 1 && most > each) ? each : most }')
    awk -v share="$share" '{ taken = share < $4 ? share : $4 }
        $2 > $4 - taken + 0.5 {
            printf "warning: %s is busy: load average %s before the first run, and of its %d cores runs take %d; ", $3, $2, $4, taken
            print "figures will be low and spread"
        }' "$scratch/loads" >&2
}

# Measures one run, and notes it: measure <repeat> <mode> <ranks> <threads> <global batch> <option...>
# In this shell and not in a substitution's, which would keep signals from the run.
measure() {
    local repeat=$1 mode=$2 ranks=$3 threads=$4 images=$5 folder="$scratch/run" status=0
    shift 5
    choose_launch "$ranks" "$threads"
    run_ranks "${launch[@]}" train --epochs 1 --train-samples $((images * steps)) --test-samples 10 --batch-size "$images" \
        --checkpoint-every 0 --check-every 0 --output "$folder" --progress none --quiet "$@" >&2 || status=$?
    if [ $status != 0 ]; then
        echo "scaling.sh: a run of $ranks ranks x $threads threads ended with status $status" >&2
        exit $status
    fi
    note_run "$folder" "$repeat" "$mode" "$ranks" "$threads" "$images"
    rm -rf "$folder"
}

command_line=$(printf '%q ' "$0" "$@")
shapes='' ranks_wanted='' threads='' hostfile='' gigabits='' simulated=''
batch=${BATCH:-128} per_core=${BATCH_PER_CORE:-32} steps=${STEPS:-12} repeats=${REPEATS:-3}
output=${OUTPUT:-scaling-$(date -u +%Y-%m-%dT%H-%M-%SZ)}
while [ $# -gt 0 ]; do
    case $1 in
        --help) usage; exit 0 ;;
        --ranks | --threads | --shapes | --hostfile | --batch | --batch-per-core | --steps | --repeats | --simulate | --simulated | --output)
            [ $# -gt 1 ] || refuse "$1: a value is missing"
            case $1 in
                --ranks) ranks_wanted=$2 ;;
                --threads) threads=$2 ;;
                --shapes) shapes=$2 ;;
                --hostfile) hostfile=$2 ;;
                --batch) batch=$2 ;;
                --batch-per-core) per_core=$2 ;;
                --steps) steps=$2 ;;
                --repeats) repeats=$2 ;;
                --simulate) gigabits=$2 ;;
                --simulated) simulated=$2 ;;
                --output) output=$2 ;;
            esac
            shift
            ;;
        --) shift; break ;;
        *) break ;;
    esac
    shift
done
positive "$batch" --batch >/dev/null || exit 2
positive "$per_core" --batch-per-core >/dev/null || exit 2
positive "$steps" --steps >/dev/null || exit 2
positive "$repeats" --repeats >/dev/null || exit 2
[ -z "$threads" ] || positive "$threads" --threads >/dev/null || exit 2
for count in $ranks_wanted; do positive "$count" --ranks >/dev/null || exit 2; done
[ -z "$shapes" ] || [ -z "$ranks_wanted$threads" ] || refuse "--shapes says ranks and threads itself: leave out --ranks and --threads"
[ -z "$hostfile" ] || [ -r "$hostfile" ] || refuse "--hostfile: '$hostfile' cannot be read"
[ -z "$simulated" ] || [ -r "$simulated" ] || refuse "--simulated: '$simulated' cannot be read"
[[ -z $gigabits || $gigabits =~ ^[0-9]*\.?[0-9]+$ ]] || refuse "--simulate: expected Gb/s, not '$gigabits'"
[ -z "$gigabits" ] || [ -z "$simulated" ] || refuse "--simulate makes the table that --simulated names: give one of them"
program=$(find_program) || exit 2
find_place
[ -n "$shapes" ] || shapes=$(default_shapes)
read -r -d '' -a shape_list <<<"$shapes" || true
[ ${#shape_list[@]} -gt 0 ] || refuse "there is no room for a rank with $threads threads"
for shape in "${shape_list[@]}"; do
    [[ $shape =~ ^[1-9][0-9]{0,5}x[1-9][0-9]{0,5}$ ]] || refuse "--shapes: expected RANKSxTHREADS, not '$shape'"
done
# The program refuses what is no option of its own before any rank is started.
"$program" train "$@" --help >/dev/null </dev/null || exit 2

mkdir -p "$output"
scratch=$(mktemp -d "$output/.runs-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
if [ -n "$simulated" ]; then
    cp "$simulated" "$scratch/predictions"
    simulated=$scratch/predictions
fi
node_loads | grep '^load ' >"$scratch/loads" || echo "the load of the nodes is not known" >&2
warn_if_busy

# All shapes once before any twice: what the machine does besides is spread over all.
for ((repeat = 1; repeat <= repeats; repeat++)); do
    for mode in strong weak; do
        for shape in "${shape_list[@]}"; do
            ranks=${shape%x*} shape_threads=${shape#*x}
            images=$batch
            [ $mode = strong ] || images=$((per_core * ranks * shape_threads))
            echo "repeat $repeat/$repeats: $mode, $ranks ranks x $shape_threads threads, $images images a step" >&2
            measure "$repeat" "$mode" "$ranks" "$shape_threads" "$images" "$@"
        done
    done
    # After each repeat, so that a time limit leaves what was measured before it.
    write_csv >"$scratch/table"
    mv "$scratch/table" "$output/scaling.csv"
    write_json >"$scratch/table"
    mv "$scratch/table" "$output/scaling.json"
done

grep -v '^#' "$output/scaling.csv" | column -s, -t
tell_spread
if [ -n "$gigabits" ]; then simulate; fi
draw_picture
echo "table: $output/scaling.csv"
echo "all runs: $output/scaling.json"
