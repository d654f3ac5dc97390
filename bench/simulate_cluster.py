#!/usr/bin/env python3
"""Predicts how the gradient exchange scales past the machine at hand.

Compiles the exchange code of src/dist against SimGrid's SMPI (Debian: libsimgrid-dev), gives it the layer times and the
memory bandwidth that `vgg11_dist bench` measures here, and runs it on simulated clusters. Writes a CSV and, with gnuplot, a
picture of the weak-scaling efficiency, and compares the prediction for few ranks with measured steps.

What is simulated: every message of the exchange, on a star of full-duplex links of the given rate, with SMPI's model of
contention; the time of arithmetic in memory, from the measured bandwidth. What is not: other traffic, several switches,
ranks that are slower than others, the operating system. Take it as the order of strategies and the place of the knee.
"""
import argparse
import csv
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
SIMULATE = ROOT / "bench" / "simulate"
REPLACED = {"dist/sum.c", "dist/square_sum.c", "dist/shared.c", "base/memory.c"}
SUMS_OF_FLOATS = {"dist/rank_sum.c", "dist/exchange_overlap.c"}
# name, exchange, wire, sliced: SMPI's non-blocking all-reduce is not the one of any MPI, so `overlap` sums by our own tree.
STRATEGIES = [
    ("flat", "allreduce", "fp32", 0),
    ("flat, overlapped", "overlap", "fp32", 1),
    ("node-aware", "node", "fp32", 0),
    ("node-aware, bf16 wire", "node", "bf16", 0),
]


def run(command, **options):
    return subprocess.run([str(part) for part in command], check=True, text=True, capture_output=True, **options).stdout


def build(folder):
    flags = ["-std=gnu11", "-O2", "-D_GNU_SOURCE", "-Wno-unknown-pragmas", f"-I{ROOT}/include", f"-I{ROOT}/src",
             f"-I{SIMULATE}", "-include", "sim_mpi.h"]
    sources = [ROOT / "src" / "nn" / "model.c", *SIMULATE.glob("*.c")]
    for layer in ("base", "dist"):
        sources += [path for path in sorted((ROOT / "src" / layer).glob("*.c")) if f"{layer}/{path.name}" not in REPLACED]
    objects = []
    for path in sources:
        extra = ["-DMPI_SUM=SIM_SUM"] if f"dist/{path.name}" in SUMS_OF_FLOATS else []
        objects.append(folder / f"{path.parent.name}-{path.stem}.o")
        run(["smpicc", *flags, *extra, "-c", path, "-o", objects[-1]])
    run(["smpicc", *objects, "-o", folder / "simulate", "-lm"])


def write_platform(path, nodes, gigabits, latency_us):
    path.write_text(f"""<?xml version='1.0'?>
<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1">
  <cluster id="cluster" prefix="node-" suffix="" radical="0-{nodes - 1}" speed="1Gf" bw="{gigabits / 8}GBps"
           lat="{latency_us}us" loopback_bw="10GBps" loopback_lat="1us"/>
</platform>
""")


def measure(options, ranks):
    """One step and its layers on this machine: weak scaling, one thread a rank."""
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = ["mpirun", "--oversubscribe", "-np", ranks] if ranks > 1 else []
        run([*command, options.program, "bench", "--threads", 1, "--batch-size", options.batch * ranks, "--precision",
             options.precision, f"--json={file.name}"])
        return json.load(open(file.name))


def layer_times(result):
    """Forward in all, and backward of each layer from the last to the first, in seconds."""
    forward, backward = 0.0, {}
    for row in result["layers"]:
        if row["pass"] == "forward":
            forward += row["median_s"]
        else:
            backward[row["layer"]] = backward.get(row["layer"], 0.0) + row["median_s"]
    return forward, [backward[name] for name in reversed(list(backward))]


def simulate(folder, options, ranks, gigabits, strategy, times, bandwidth):
    forward, backward = times
    nodes = max(1, ranks // options.ranks_per_node)
    write_platform(folder / "platform.xml", nodes, gigabits, options.latency)
    per_node = ranks // nodes
    (folder / "hosts").write_text("".join(f"node-{rank // per_node}\n" for rank in range(ranks)))
    _, exchange, wire, sliced = strategy
    out = run(["smpirun", "-np", ranks, "-platform", folder / "platform.xml", "-hostfile", folder / "hosts",
               "--cfg=smpi/simulate-computation:no", "--cfg=smpi/coll-selector:ompi", "--cfg=smpi/display-timing:no",
               "--log=root.thres:error", folder / "simulate", exchange, wire, sliced, options.steps, bandwidth, forward,
               *backward], timeout=options.timeout)
    step_s = float(out.strip().splitlines()[-1].split(",")[2])
    return step_s, (forward + sum(backward)) / step_s


def compare(folder, options, times, bandwidth):
    """The prediction beside measured steps, for as many ranks as there are cores here."""
    rows = []
    for ranks in range(2, min(8, len(os.sched_getaffinity(0))) + 1, 2):
        measured = measure(options, ranks)["step"]["parts"]["step"]["median_s"]
        local = argparse.Namespace(**{**vars(options), "ranks_per_node": ranks})
        predicted, _ = simulate(folder, local, ranks, 100, STRATEGIES[2], times, bandwidth / ranks)
        rows.append((ranks, measured, predicted))
        print(f"{ranks} ranks on this node: step measured {1e3 * measured:.1f} ms, predicted {1e3 * predicted:.1f} ms")
    return rows


def plot(folder, path, links):
    panels = []
    for gigabits in links:
        series = ", ".join(f"'{path}' using (stringcolumn(3) eq '{name}' && $2 == {gigabits} ? $1 : NaN):(100 * $5) "
                           f"with linespoints title '{name}'" for name, *_ in STRATEGIES)
        panels.append(f"set title '{gigabits} Gb/s'\nplot {series}")
    script = folder / "plot.gp"
    script.write_text(f"""set terminal svg size {420 * len(links)},380 font 'sans,11'
set output '{path.with_suffix('.svg')}'
set datafile separator ','
set key bottom left
set logscale x 2
set yrange [0:105]
set grid
set xlabel 'ranks'
set ylabel 'efficiency, % of a step without exchange'
set multiplot layout 1,{len(links)}
""" + "\n".join(panels) + "\nunset multiplot\n")
    run(["gnuplot", script])
    print(f"picture: {path.with_suffix('.svg')}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=ROOT / "build/release/src/app/vgg11_dist", help="the built vgg11_dist")
    parser.add_argument("--ranks", default="8,16,32,64,128,256,512,1024", help="rank counts to simulate")
    parser.add_argument("--ranks-per-node", type=int, default=8)
    parser.add_argument("--links", default="10,25,100", help="Gb/s of each node's link")
    parser.add_argument("--latency", type=float, default=20, help="microseconds of a link")
    parser.add_argument("--batch", type=int, default=32, help="images a rank and step")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--steps", type=int, default=1, help="simulated steps to average, after one that is not counted")
    parser.add_argument("--timeout", type=float, default=900, help="seconds for one simulation; longer ones are left out")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("scaling-simulated.csv"))
    options = parser.parse_args()
    for tool in ("smpicc", "smpirun"):
        if not shutil.which(tool):
            sys.exit(f"simulate_cluster: {tool} is missing; install SimGrid (Debian: libsimgrid-dev)")

    links = [float(link) if "." in link else int(link) for link in options.links.split(",")]
    measured = measure(options, 1)
    times, bandwidth = layer_times(measured), measured["limits"]["update_bytes_per_s"]
    print(f"measured: {1e3 * (times[0] + sum(times[1])):.1f} ms of computation a step, {bandwidth / 1e9:.1f} GB/s")
    with tempfile.TemporaryDirectory() as name, open(options.output, "w", newline="") as file:
        folder = pathlib.Path(name)
        build(folder)
        compare(folder, options, times, bandwidth)
        table = csv.writer(file)
        table.writerow(["ranks", "gigabits", "strategy", "step_s", "efficiency"])
        for ranks in [int(text) for text in options.ranks.split(",")]:
            for gigabits in links:
                for strategy in STRATEGIES:
                    try:
                        row = simulate(folder, options, ranks, gigabits, strategy, times, bandwidth)
                    except subprocess.TimeoutExpired:
                        print(f"{ranks} ranks, {strategy[0]}: left out, took over {options.timeout:g} s")
                        continue
                    table.writerow([ranks, gigabits, strategy[0], f"{row[0]:.6f}", f"{row[1]:.4f}"])
                    file.flush()
                    print(f"{ranks:5d} ranks {gigabits:>4} Gb/s {strategy[0]:22s} step {1e3 * row[0]:8.1f} ms, efficiency {100 * row[1]:5.1f} %")
        if shutil.which("gnuplot"):
            plot(folder, options.output.resolve(), links)


main()
