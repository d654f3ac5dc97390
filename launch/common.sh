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

count_cores() { allowed_cores | wc -l; }

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
