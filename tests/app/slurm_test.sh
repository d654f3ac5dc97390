#!/usr/bin/env bash
# Runs launch/vgg11.sbatch in a real Slurm: a cluster of this one machine, made for the test, on ports and in folders of
# its own. Needs root and Debian's packages slurmctld, slurmd, slurm-client, slurm-wlm-basic-plugins and munge; exit status
# 77 (skipped) without.
#   VGG11_DIST=<program> VGG11_TEST_DATA=<folder> tests/app/slurm_test.sh
set -euo pipefail

: "${VGG11_DIST:?the program}" "${VGG11_TEST_DATA:?the folder of the data set}"
tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# shellcheck source=tests/app/slurm_cluster.sh
. "$tree/tests/app/slurm_cluster.sh"

job_field() { scontrol --oneliner show job "$1" | tr ' ' '\n' | sed -n "s/^$2=//p"; }
job_is() { [ "$(job_field "$1" JobState)" = "$2" ]; }
# Queued again, and what ran before has ended: Slurm counts a restart while the job's processes still save.
came_back() { [ "$(job_field "$1" Restarts)" = 1 ] && [[ $(job_field "$1" JobState) =~ ^(PENDING|CONFIGURING|RUNNING)$ ]]; }
last_step() { sed -n 's/.*"event":"step","step":\([0-9]*\),.*/\1/p' "$1/metrics.jsonl" 2>/dev/null | tail -n 1; }
has_steps() { [ "$(last_step "$1")" -ge "$2" ] 2>/dev/null; }

# submit <run folder> <sbatch option...>: prints the job number.
submit() {
    local folder=$1
    shift
    RUN_DIR=$folder sbatch --parsable --output="$folder.out" --ntasks-per-node=2 --cpus-per-task=1 "$@" \
        "$tree/launch/vgg11.sbatch" --config "$work/run.conf" --quiet
}

# Steps 1, 2, 3 ... without a gap or a repeat, whatever was interrupted.
check_steps() {
    local steps
    steps=$(sed -n 's/.*"event":"step","step":\([0-9]*\),.*/\1/p' "$1/metrics.jsonl")
    [ "$steps" = "$(seq "$(last_step "$1")")" ] || fail "steps of $1 are not whole: $(tr '\n' ' ' <<<"$steps")"
}

configure() {
    cat >"$work/run.conf" <<END
data = $VGG11_TEST_DATA
train-samples = 64
test-samples = 20
batch-size = 16
epochs = 1000
checkpoint-every = 0
max-steps = $1
no-tune = true
END
}

# test_stop <launcher>: a signal to the batch shell, without queueing again: checkpoint, then exit status 75.
test_stop() {
    local job folder=$work/stopped-$1
    job=$(LAUNCHER=$1 REQUEUE=no submit "$folder" --time=10)
    wait_until has_steps "$folder" 2
    scancel --batch --signal=USR1 "$job"
    wait_until job_is "$job" FAILED
    [ "$(job_field "$job" ExitCode)" = 75:0 ] || fail "exit status $(job_field "$job" ExitCode), expected 75:0"
    ls "$folder"/checkpoint-*.safetensors >/dev/null || fail "no checkpoint was saved"
    grep -q '"ranks":2,' "$folder/metrics.jsonl" || fail "the allocation's two tasks are not two ranks"
    echo "ok: under $1, a signal gives a checkpoint and exit status 75"
}

is_gone() { [ -z "$(squeue --noheader --jobs="$1" 2>/dev/null)" ]; }

# test_cancel <launcher> <scancel option...>: it saves, ends, and stays away.
test_cancel() {
    local job folder=$work/cancelled-$1
    job=$(LAUNCHER=$1 submit "$folder" --time=10)
    wait_until has_steps "$folder" 2
    scancel "${@:2}" "$job"
    wait_until is_gone "$job"
    [ "$(job_field "$job" Restarts)" = 0 ] || fail "a cancelled job was queued again"
    ls "$folder"/checkpoint-*.safetensors >/dev/null || fail "no checkpoint was saved"
    echo "ok: under $1, a cancelled job leaves a checkpoint and does not come back"
}

# test_preempt <launcher>: for a job that is more urgent it saves, and goes on afterwards.
test_preempt() {
    local job stopped folder=$work/preempted-$1
    configure 0
    job=$(LAUNCHER=$1 submit "$folder" --time=10)
    wait_until has_steps "$folder" 2
    sbatch --partition=urgent --exclusive --output=/dev/null --wrap='exit 0' >/dev/null
    wait_until came_back "$job"
    ls "$folder"/checkpoint-*.safetensors >/dev/null || fail "no checkpoint was saved"
    stopped=$(last_step "$folder")
    configure $((stopped + 3))
    wait_until job_is "$job" COMPLETED
    check_steps "$folder"
    echo "ok: under $1, a preempted job leaves a checkpoint and goes on from it"
}

# The time limit comes nearer: Slurm's own signal, a checkpoint, the queue again, and on to the end.
test_limit() {
    local job stopped
    job=$(submit "$work/limited" --time=2 --signal=B:USR1@100)
    wait_until came_back "$job"
    stopped=$(last_step "$work/limited")
    grep -q "saved in $work/limited; queueing job $job again" "$work/limited.out" || fail "it does not say that it is queued again"
    configure $((stopped + 3))
    wait_until job_is "$job" COMPLETED
    [ "$(last_step "$work/limited")" = $((stopped + 3)) ] || fail "ended at step $(last_step "$work/limited"), expected $((stopped + 3))"
    check_steps "$work/limited"
}

start_cluster 1
cd "$work"
export VGG11_TREE=$tree
configure 0
launchers=(mpirun)
if srun --mpi=list 2>&1 | grep -qw pmix; then launchers+=(srun); fi
for launcher in "${launchers[@]}"; do
    test_stop "$launcher"
    test_cancel "$launcher"
    test_preempt "$launcher"
done
configure 0
test_limit
echo "ok: the time limit gives a checkpoint, and the job goes on from it to its end"
