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

# The number of cores that the quotas of this shell's control groups (version 1 and 2) let it keep busy, 1 at least; nothing without
# a quota. $1 and $2: in place of /proc/$$ and /sys/fs/cgroup.
# shellcheck disable=SC2120
quota_cores() {
    local proc=${1:-/proc/$$} sys=${2:-/sys/fs/cgroup} hierarchy controllers group root
    [ -r "$proc/cgroup" ] || return 0
    while IFS=: read -r hierarchy controllers group; do
        if [ "$hierarchy:$controllers" = 0: ]; then
            root=$sys
        elif [[ ,$controllers, == *,cpu,* ]]; then
            root=$sys/cpu
        else
            continue
        fi
        # From the own group up to the root: in a container the named group may be invisible, and the root is its own.
        while true; do
            cat "$root$group/cpu.max" 2>/dev/null || true
            paste "$root$group/cpu.cfs_quota_us" "$root$group/cpu.cfs_period_us" 2>/dev/null || true
            [[ $group == */* ]] || break
            group=${group%/*}
        done
    done <"$proc/cgroup" | awk '$1 + 0 > 0 && $2 > 0 { cores = $1 / $2; if (!least || cores < least) least = cores }
                                END { if (least) print (least < 1 ? 1 : int(least)) }'
}

# Cores that this shell may keep busy.
count_cores() {
    local cores quota
    cores=$(allowed_cores | wc -l)
    quota=$(quota_cores)
    echo $((${quota:-$cores} < cores ? quota : cores))
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
