# Sourced by the scripts beside it: where the program is, and which cores are at hand.
# shellcheck shell=bash

# Prints the path of vgg11_dist: $VGG11_DIST, the newest build in this tree, the installed one beside, or the one in PATH.
find_program() {
    local root candidate
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    if [ -n "${VGG11_DIST:-}" ]; then
        candidate=$VGG11_DIST
    else
        candidate=$(find "$root/build" -path '*/src/app/vgg11_dist' -type f -executable -printf '%T@ %p\n' 2>/dev/null |
            sort -rn | head -n 1 | cut -d' ' -f2-)
        [ -n "$candidate" ] || candidate=$(command -v "$root/../../bin/vgg11_dist" || command -v vgg11_dist || true)
    fi
    if [ -z "$candidate" ] || [ ! -x "$candidate" ]; then
        echo "no program vgg11_dist found; build it (launch/setup.sh) or name it in VGG11_DIST" >&2
        return 1
    fi
    printf '%s\n' "$candidate"
}

# "0-2,8" -> one number a line.
expand_list() {
    local part
    tr ',' '\n' <<<"$1" | while IFS=- read -r first last; do
        for ((part = first; part <= ${last:-$first}; part++)); do echo "$part"; done
    done
}

# One line "core socket node" for each physical core that this shell may use.
allowed_cores() {
    local allowed
    allowed=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' "/proc/$$/status")
    # Two passes over one sorted stream would need the list twice; awk keeps it.
    awk -F, 'NR == FNR { allowed[$1] = 1; next } /^#/ { next } ($1 in allowed) && !seen[$2, $3]++ { print $2, $3, $4 }' \
        <(expand_list "$allowed") <(lscpu -p=CPU,CORE,SOCKET,NODE)
}

# Cores that this shell may keep busy, by its mask and by the quotas of its control groups: what the program would take as a single rank.
count_cores() {
    local program described
    program=$(find_program) || return 1
    described=$(env -u OMP_NUM_THREADS -u OMP_PROC_BIND -u OMP_PLACES "$program" info --json --quiet </dev/null) || return 1
    sed -n 's/^ *"threads": \([0-9]*\),$/\1/p' <<<"$described"
}

# Cores of the machine, whoever may use them.
count_machine_cores() { lscpu -p=CORE,SOCKET | grep -v '^#' | sort -u | wc -l; }

# NUMA nodes that have a core for this shell.
count_memory_nodes() { allowed_cores | awk '{ print $3 }' | sort -u | wc -l; }

# Prints $1 if it is a whole number of 1 or more; else says which option wants one, and fails.
positive() {
    if [[ ! $1 =~ ^[1-9][0-9]{0,5}$ ]]; then
        echo "$2: expected a whole number from 1 on, not '$1'" >&2
        return 1
    fi
    printf '%s\n' "$1"
}

# Sets the array `launch` to what starts so many ranks with so many threads each in this Slurm allocation: by srun if it can start
# Open MPI's processes, else by mpirun; $LAUNCHER decides by hand. slurm_launch <ranks> <threads> [word for srun...]
slurm_launch() {
    local ranks=$1 threads=$2 name=${LAUNCHER:-}
    shift 2
    if [ -z "$name" ]; then
        if srun --mpi=list 2>&1 | grep -qw pmix; then name=srun; else name=mpirun; fi
    fi
    # Ranks that outlive another by half a minute are ended; at once (--kill-on-bad-exit) would hit those that are about to
    # end with the same status, and hide it.
    # shellcheck disable=SC2034 # the caller's
    case $name in
        srun) launch=(srun --mpi=pmix --wait=30 --cpus-per-task="$threads" "$@") ;;
        mpirun) launch=(env "--block-signal=TERM,INT,HUP" mpirun -np "$ranks" --map-by "slot:PE=$threads" --bind-to core) ;;
        *) echo "LAUNCHER: expected srun or mpirun, not '$name'" >&2; return 2 ;;
    esac
}

# Sends a signal to the launcher, once it handles what it is to pass on (a bit for each signal, SIGUSR1 is the tenth): in its
# first moments it would die of it.
signal_launcher() {
    local masks patience
    for ((patience = 100; patience > 0; patience--)); do
        masks=$(sed -n 's/^Sig\(Cgt\|Blk\):.*\(.\{8\}\)$/0x\2/p' "/proc/$launcher/status" 2>/dev/null | paste -sd"|" || true)
        if [ -z "$masks" ] || (((${masks}) & 0x200)); then break; fi
        sleep 0.05
    done
    kill -s "$1" "$launcher" 2>/dev/null || true
}

# What a signal to this shell does: pass_on <signal> asks the launcher, if it is there, and otherwise as soon as it is. Whoever asks
# for the end again means it; timeout(1) and others signal a process and its group, which is not asking twice.
pass_on() {
    woken=yes
    if [ "$1" != end ]; then
        wanted=$1
    elif [ -z "$asked_at" ]; then
        asked_at=$SECONDS wanted=USR1
    elif [ $((SECONDS - asked_at)) -lt 2 ]; then
        return 0
    elif [ "$wanted" = USR1 ]; then
        wanted=USR2
    else
        wanted=KILL
    fi
    if [ -n "$launcher" ]; then signal_launcher "$wanted"; fi
}

# Runs "$@", which starts ranks, and returns its exit status. A shell that is told to end (SIGTERM, SIGINT, SIGHUP) has the ranks save
# and stop, as SIGUSR1 does: mpirun would end them within two seconds. Told again, it has them end at once (SIGUSR2, which they
# do not handle), and told a third time it kills the launcher. A session of its own keeps the launcher from the signals that a
# terminal or timeout(1) sends to all; if this shell is killed, the ranks save and stop, too.
run_ranks() {
    local now status=''
    launcher='' woken=no wanted='' asked_at=''
    trap 'pass_on USR1' USR1
    trap 'pass_on USR2' USR2
    trap 'pass_on end' TERM INT HUP
    setpriv --pdeathsig USR1 setsid "$@" </dev/null &
    launcher=$!
    if [ -n "$wanted" ]; then signal_launcher "$wanted"; fi
    # A signal ends wait early; 127 says that the wait before had the status already.
    while :; do
        woken=no now=0
        wait "$launcher" || now=$?
        if [ -z "$status" ] || [ $now != 127 ]; then status=$now; fi
        [ $woken = yes ] || break
    done
    trap - USR1 USR2 TERM INT HUP
    return "$status"
}
