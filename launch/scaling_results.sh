# Sourced by scaling.sh: what it makes of its runs. In $scratch, a line of `runs` for each is "<repeat> <mode> <ranks> <threads>
# <nodes> <batch> <images/s> <exposed exchange, s> <step, s> <computation, s>", and one of `provenance` what the program says of it,
# as JSON.
# shellcheck shell=bash disable=SC2154 # the variables are scaling.sh's

median() { sort -g | awk '{ v[NR] = $1 } END { if (NR) print (v[int((NR + 1) / 2)] + v[int((NR + 2) / 2)]) / 2 }'; }

# The median over a run's steps, but for the first quarter, of a member of their lines: step_median <run folder> <member>
step_median() {
    sed -n "s/.*\"event\":\"step\".*\"$2\":\([0-9.e+-]*\).*/\1/p" "$1/metrics.jsonl" | tail -n +$((steps / 4 + 1)) | median
}

# A member of the program's provenance, as it stands there, without quotes.
member() { sed -n "s/.*\"$1\": *\(\"\([^\"]*\)\"\|\([0-9][0-9]*\)\).*/\2\3/p"; }

# note_run <run folder> <repeat> <mode> <ranks> <threads> <global batch>
note_run() {
    local folder=$1 provenance
    provenance=$(sed -n '/^  "provenance": {$/,/^  }/{ s/^  "provenance": //; s/^ *//; p; }' "$folder/config.json" | tr -d '\n')
    printf '%s\n' "${provenance%,}" >>"$scratch/provenance"
    echo "$2 $3 $4 $5 $(member nodes <<<"$provenance") $6 $(step_median "$folder" images_per_second)" \
        "$(step_median "$folder" exchange_s) $(step_median "$folder" step_s) $(step_median "$folder" compute_s)" >>"$scratch/runs"
}

# The provenance of the last of the widest runs, which was on more hosts than any other.
widest_provenance() {
    sed -n "$(awk '$3 >= most { most = $3; line = NR } END { print line }' "$scratch/runs")p" "$scratch/provenance"
}

write_csv() {
    local name value
    echo "# command: $command_line"
    for name in version commit hosts processor mpi job time; do
        value=$(widest_provenance | member $name)
        [ -z "$value" ] || echo "# $name: $value"
    done
    echo "mode,ranks,threads,nodes,batch,repeats,images_per_second,least,most,spread_percent,speedup,efficiency," \
        "exchange_ms,exchange_percent" | tr -d ' '
    awk 'function middle(list, key, n,   i, j, v, sorted) {
            for (i = 1; i <= n; i++) {
                v = list[key, i]
                for (j = i - 1; j > 0 && sorted[j] > v; j--) sorted[j + 1] = sorted[j]
                sorted[j + 1] = v
            }
            least = sorted[1]
            most = sorted[n]
            return (sorted[int((n + 1) / 2)] + sorted[int((n + 2) / 2)]) / 2
        }
        {
            key = $2 "," $3 "," $4
            if (!(key in runs)) { order[++rows] = key; mode[key] = $2; cores[key] = $3 * $4; rest[key] = $5 "," $6 }
            n = ++runs[key]
            speed[key, n] = $7 + 0; exchange[key, n] = $8 + 0; share[key, n] = $8 / $9
        }
        END {
            for (row = 1; row <= rows; row++) {
                key = order[row]; n = runs[key]
                exposed = middle(exchange, key, n); percent = 100 * middle(share, key, n); s = middle(speed, key, n)
                if (!(mode[key] in base)) { base[mode[key]] = s; base_cores[mode[key]] = cores[key] }
                gain = s / base[mode[key]]
                printf "%s,%s,%d,%.2f,%.2f,%.2f,%.1f,%.3f,%.3f,%.3f,%.1f\n", key, rest[key], n, s, least, most, 100 * (most - least) / s,
                    gain, gain * base_cores[mode[key]] / cores[key], 1e3 * exposed, percent
            }
        }' "$scratch/runs"
}

# The rows of a CSV file as JSON objects; what is no number is quoted.
rows_as_json() {
    awk -F, '/^#/ { next } !columns { columns = split($0, name); next }
        { printf "%s    {", (rows++ ? ",\n" : "")
          for (i = 1; i <= columns; i++) printf "%s\"%s\": %s", (i > 1 ? ", " : ""), name[i], ($i ~ /^[0-9.]+$/ ? $i : "\"" $i "\"")
          printf "}" }' "$1"
}

write_json() {
    local command=${command_line//\\/\\\\}
    printf '{\n  "command": "%s",\n  "steps": %d,\n  "loads": [' "${command//\"/\\\"}" "$steps"
    awk '{ printf "%s{\"host\": \"%s\", \"load\": %s, \"cores\": %s}", (NR > 1 ? ", " : ""), $3, $2, $4 }' "$scratch/loads"
    printf '],\n  "table": [\n'
    rows_as_json "$output/scaling.csv"
    printf '\n  ],\n  "runs": [\n'
    awk '{ getline provenance < provenances
           printf "%s    {\"repeat\": %d, \"mode\": \"%s\", \"ranks\": %d, \"threads\": %d, \"batch\": %d, \"images_per_second\": %s, ",
               (NR > 1 ? ",\n" : ""), $1, $2, $3, $4, $6, $7
           printf "\"exchange_s\": %s, \"step_s\": %s, \"compute_s\": %s, \"provenance\": %s}", $8, $9, $10, provenance }' \
        provenances="$scratch/provenance" "$scratch/runs"
    printf '\n  ]\n}\n'
}

tell_spread() {
    awk -F, '!/^#|^mode/ && $10 >= most { most = $10; row = $1 ", " $2 " ranks x " $3 " threads" }
        END { printf "spread of the repeats, most less least: %s %% of the median at most (%s)\n", most, row }' "$output/scaling.csv"
}

# Sets `simulated` to a table of predictions for the shapes that have the threads of the first, from what that took to compute.
simulate() {
    local tool=$here/../bench/simulate_cluster.py ranks=${shape_list[0]%x*} threads=${shape_list[0]#*x} name counts compute_ms
    for name in "$tool" python3 smpicc smpirun; do
        command -v "$name" >/dev/null || { echo "no simulated curve: $name is missing"; return 0; }
    done
    counts=$(printf '%s\n' "${shape_list[@]}" | awk -Fx -v threads="$threads" '$2 == threads { print $1 }' | sort -nu | paste -sd,)
    compute_ms=$(awk -v ranks="$ranks" -v threads="$threads" '$2 == "weak" && $3 == ranks && $4 == threads { print 1e3 * $10 }' \
        "$scratch/runs" | median)
    if python3 "$tool" --program "$program" --ranks "$counts" --ranks-per-node $(((slots + node_count - 1) / node_count)) \
        --links "$gigabits" --strategies node --batch $((per_core * threads)) --compute-ms "$compute_ms" \
        --output "$scratch/simulated.csv" >"$scratch/simulation" 2>&1; then
        mv "$scratch/simulated.csv" "$output/simulated.csv"
        simulated=$output/simulated.csv
    else
        echo "no simulated curve: $(grep . "$scratch/simulation" | tail -n 1)"
    fi
}

# The curves of one mode, as gnuplot's words: measured for each number of threads, ideal, and what the simulator predicts.
curves() {
    local mode=$1 threads words=''
    for threads in $(printf '%s\n' "${shape_list[@]}" | sed 's/.*x//' | sort -nu); do
        awk -F, -v mode="$mode" -v threads="$threads" '$1 == mode && $3 == threads { print $2 * $3, $7, $8, $9 }' \
            "$output/scaling.csv" | sort -n >"$scratch/$mode-$threads"
        words+="'$mode-$threads' with yerrorlines linewidth 2 pointtype 7 title 'ranks x $threads', "
    done
    awk -F, -v mode="$mode" '$1 == mode { c = $2 * $3; if (!base) base = $7 / c; if (!least || c < least) least = c; if (c > most) most = c }
        END { print least, least * base; print most, most * base }' "$output/scaling.csv" >"$scratch/$mode-ideal"
    words+="'$mode-ideal' with lines linecolor rgb 'black' dashtype 2 title 'ideal'"
    [ "$mode" = strong ] || words+=$(simulated_curves)
    echo "$words"
}

# A curve for each strategy and link of the simulator's table, whose columns are ranks, gigabits, strategy, step_s, efficiency.
simulated_curves() {
    local strategy gigabits file
    [ -n "$simulated" ] || return 0
    while IFS=, read -r strategy gigabits; do
        file="simulated-${strategy// /-}-$gigabits"
        awk -F, -v strategy="$strategy" -v gigabits="$gigabits" -v threads="${shape_list[0]#*x}" \
            'NR == FNR { if ($1 == "weak" && !base) base = $7 / $2; next }
             $3 == strategy && $2 == gigabits { print $1 * threads, $5 * $1 * base }' "$output/scaling.csv" "$simulated" |
            sort -n >"$scratch/$file"
        printf ", '%s' with linespoints pointtype 6 title 'simulated: %s, %s Gb/s'" "$file" "$strategy" "$gigabits"
    done < <(awk -F, 'NR > 1 && !seen[$3, $2]++ { print $3 "," $2 }' "$simulated")
}

draw_picture() {
    local least most
    command -v gnuplot >/dev/null || { echo "no picture: gnuplot is not installed"; return 0; }
    read -r least most < <(awk -F, '/^strong|^weak/ { c = $2 * $3; if (!least || c < least) least = c; if (c > most) most = c }
        END { print least / 1.25, most * 1.25 }' "$output/scaling.csv")
    cat >"$scratch/picture.gp" <<END
set terminal svg size 1000,440 font 'sans,12' background rgb 'white'
set key left top noenhanced
set logscale xy 2
set xrange [$least:$most]
set grid
set xlabel 'cores (ranks x threads)'
set ylabel 'images/s: median, least and most of $repeats'
set multiplot layout 1,2
set title 'strong scaling: $batch images a step'
plot $(curves strong)
set title 'weak scaling: $per_core images a core and step'
plot $(curves weak)
unset multiplot
END
    if (cd "$scratch" && gnuplot picture.gp) >"$scratch/picture.svg"; then
        mv "$scratch/picture.svg" "$output/scaling.svg"
        echo "picture: $output/scaling.svg"
    else
        echo "no picture: gnuplot failed" >&2
    fi
}
