#!/usr/bin/env bash
# Measures strong and weak scaling over ranks x threads on this machine: medians of repeats, as CSV and picture.
set -euo pipefail
export LC_ALL=C # awk writes and sort reads decimal points, whatever the user's language
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=launch/common.sh
. "$here/common.sh"

usage() {
    cat <<'END'
Usage: launch/scaling.sh [--shapes "RxT ..."] [--batch N] [--batch-per-core N] [--steps N] [--repeats N] [--output DIR]
                         [--help] [OPTION of vgg11_dist...]
Trains a few steps with each shape of R ranks x T threads, in turns, and writes DIR/scaling.csv and DIR/scaling.svg.
Strong scaling keeps the global batch; weak scaling keeps the images per core.

  --shapes "RxT ..."    default: 1x1 first, then powers of two up to the cores at hand, as ranks and as threads
  --batch N             global batch of strong scaling (default $BATCH, else 128)
  --batch-per-core N    images per core and step of weak scaling (default $BATCH_PER_CORE, else 32)
  --steps N             steps of one run; the first quarter is not counted (default $STEPS, else 12)
  --repeats N           runs of each shape, of which the median counts (default $REPEATS, else 3)
  --output DIR          default $OUTPUT, else scaling-<time>

Environment: VGG11_DIST, MPIRUN, MPIRUN_FLAGS as for launch/local.sh. The first shape is what the others are compared with.
END
}

default_shapes() {
    local cores size shapes=1x1
    cores=$(count_cores)
    for ((size = 2; size <= cores; size *= 2)); do shapes+=" ${size}x1 1x$size"; done
    echo "$shapes"
}

shapes='' batch=${BATCH:-128} per_core=${BATCH_PER_CORE:-32} steps=${STEPS:-12} repeats=${REPEATS:-3}
output=${OUTPUT:-scaling-$(date -u +%Y-%m-%dT%H-%M-%SZ)}
while [ $# -gt 0 ]; do
    case $1 in
        --help) usage; exit 0 ;;
        --shapes | --batch | --batch-per-core | --steps | --repeats | --output)
            [ $# -gt 1 ] || { echo "$1: a value is missing" >&2; exit 2; }
            case $1 in
                --shapes) shapes=$2 ;;
                --batch) batch=$2 ;;
                --batch-per-core) per_core=$2 ;;
                --steps) steps=$2 ;;
                --repeats) repeats=$2 ;;
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
read -r -a shape_list <<<"${shapes:-$(default_shapes)}"
for shape in "${shape_list[@]}"; do
    [[ $shape =~ ^[1-9][0-9]*x[1-9][0-9]*$ ]] || { echo "--shapes: expected RANKSxTHREADS, not '$shape'" >&2; exit 2; }
done

mkdir -p "$output"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

median() { sort -g | awk '{ v[NR] = $1 } END { if (NR) print (v[int((NR + 1) / 2)] + v[int((NR + 2) / 2)]) / 2 }'; }

# Adds the median images per second of one run to a file: measure <file> <ranks> <threads> <global batch> <run folder> <option...>
# In this shell and not in a substitution's, which would keep signals from the run.
measure() {
    local file=$1 ranks=$2 threads=$3 images=$4 folder=$5
    shift 5
    run_ranks "$here/local.sh" --ranks "$ranks" --threads "$threads" train --epochs 1 --train-samples $((images * steps)) \
        --test-samples 10 --batch-size "$images" --checkpoint-every 0 --check-every 0 --output "$folder" --progress none \
        --quiet "$@" >&2
    sed -n 's/.*"event":"step".*"images_per_second":\([0-9.e+-]*\).*/\1/p' "$folder/metrics.jsonl" |
        tail -n +$((steps / 4 + 1)) | median >>"$file"
}

# All shapes once before any twice: what the machine does besides is spread over all.
for ((repeat = 1; repeat <= repeats; repeat++)); do
    for mode in strong weak; do
        for shape in "${shape_list[@]}"; do
            ranks=${shape%x*} threads=${shape#*x}
            images=$batch
            [ $mode = strong ] || images=$((per_core * ranks * threads))
            echo "repeat $repeat/$repeats: $mode, $ranks ranks x $threads threads, $images images a step" >&2
            measure "$scratch/$mode-$shape" "$ranks" "$threads" "$images" "$scratch/$mode-$shape-$repeat" "$@"
            rm -rf "$scratch/$mode-$shape-$repeat"
        done
    done
done

csv=$output/scaling.csv
echo "mode,ranks,threads,batch,images_per_second,speedup,efficiency" >"$csv"
for mode in strong weak; do
    base=$(median <"$scratch/$mode-${shape_list[0]}")
    base_cores=$((${shape_list[0]%x*} * ${shape_list[0]#*x}))
    for shape in "${shape_list[@]}"; do
        ranks=${shape%x*} threads=${shape#*x}
        images=$batch
        [ $mode = strong ] || images=$((per_core * ranks * threads))
        awk -v mode=$mode -v ranks="$ranks" -v threads="$threads" -v images="$images" -v base="$base" -v base_cores="$base_cores" \
            '{ s = $1 / base; printf "%s,%d,%d,%d,%.2f,%.3f,%.3f\n", mode, ranks, threads, images, $1, s, s * base_cores / (ranks * threads) }' \
            < <(median <"$scratch/$mode-$shape") >>"$csv"
    done
done

column -s, -t "$csv"
if command -v gnuplot >/dev/null; then
    awk -F, 'NR > 1 { print $1, $2 "x" $3, $7 }' "$csv" >"$scratch/points"
    gnuplot <<END
set terminal svg size 720,420 font 'sans,12' background rgb 'white'
set output '$output/scaling.svg'
set style data histograms
set style fill solid 0.8
set yrange [0:*]
set grid y
set xlabel 'ranks x threads'
set ylabel 'efficiency against ${shape_list[0]}'
plot '< grep ^strong $scratch/points' using 3:xtic(2) title 'strong (batch $batch)', \
     '< grep ^weak $scratch/points' using 3 title 'weak ($per_core a core)', 1 with lines lc rgb 'black' notitle
END
    echo "picture: $output/scaling.svg"
fi
echo "table: $csv"
