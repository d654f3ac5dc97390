#!/usr/bin/env bash
# Runs launch/scaling.sh over the two nodes of a real Slurm (slurm_cluster.sh), by each launcher there is. Exit status 77
# (skipped) where there can be none.
#   VGG11_DIST=<program> VGG11_TEST_DATA=<folder> tests/app/slurm_scaling_test.sh
set -euo pipefail

: "${VGG11_DIST:?the program}" "${VGG11_TEST_DATA:?the folder of the data set}"
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=tests/app/slurm_cluster.sh
. "$tree/tests/app/slurm_cluster.sh"

# Ranks, nodes and batches of the runs, in their order.
check_runs() {
    python3 - "$1/scaling.json" <<'END'
import json, sys
result = json.load(open(sys.argv[1], encoding="utf-8"))
runs = [(run["mode"], run["ranks"], run["batch"], run["provenance"]["nodes"]) for run in result["runs"]]
assert runs == [("strong", 1, 8, 1), ("strong", 2, 8, 2), ("weak", 1, 4, 1), ("weak", 2, 8, 2)], runs
assert all(run["provenance"]["job"].startswith("Slurm ") for run in result["runs"]), result["runs"]
assert [row["nodes"] for row in result["table"]] == [1, 2, 1, 2], result["table"]
assert len(result["loads"]) == 2, result["loads"]
END
}

# test_launcher <srun or mpirun>: one and two ranks, which is as many as the allocation has tasks, each on a node of its own.
test_launcher() {
    local folder=$work/$1
    LAUNCHER=$1 sbatch --wait --output="$folder.out" --nodes=2 --ntasks-per-node=1 --cpus-per-task=1 --time=10 \
        --wrap "'$tree/launch/scaling.sh' --steps 2 --repeats 1 --batch 8 --batch-per-core 4 --output '$folder' \
            --no-tune --data '$VGG11_TEST_DATA'" \
        >/dev/null || fail "it ends with status $?"
    check_runs "$folder" || fail "other runs than expected"
    grep -q '^# job: Slurm ' "$folder/scaling.csv" || fail "the table does not name the job"
    echo "ok: under $1, scaling over two nodes"
}

start_cluster 2
cd "$work"
test_launcher mpirun
if srun --mpi=list 2>&1 | grep -qw pmix; then test_launcher srun; fi
