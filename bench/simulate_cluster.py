#!/usr/bin/env python3
"""Predicts how the gradient exchange scales past the machine at hand.

Compiles the exchange code of src/comm and src/exchange against SimGrid's SMPI (Debian: libsimgrid-dev) and runs it on simulated clusters: weak
scaling, so many images a rank. The time of forward and backward and the memory's bandwidth are measured here with `vgg11_dist
bench`, or given. Writes a table (CSV) and, with gnuplot, a picture: efficiency, which is the step of one rank over the step of
many. It may pass 100 %: the ranks of a node share one update.

How far to trust it. Simulated: every message of the exchange, on nodes around one switch that is never full, each with one
full-duplex link, with SMPI's model of latency, protocol and contention for Ethernet; arithmetic in memory, as bytes over the
measured bandwidth; what `node` sends and adds while backward goes on, which takes two thirds of the computation, each layer by
its multiplications. Left out: other traffic, switches in several layers, ranks that are slower than others, a node whose ranks
together ask for more than its memory gives (unless --bandwidth says so), the processor's share in TCP, the way back of
acknowledgements. Simplified: all buffers are one block of memory that nobody computes on; MPI_Allreduce of floats is a ring, as
Open MPI's is for a gradient of this size; to ask whether a message has come takes no time; `overlap` is left out, being `node`
with one rank a node. So it is good for the order of the strategies, the place of the knee, and what a faster link would buy; a
single figure is good to some tens of percent. `--compare` sets predictions beside steps measured here, on one node and, where
namespaces are allowed, on two hosts with a real TCP link of a set rate between them.
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
WITH_HOSTS = ROOT / "tests" / "hosts" / "with_hosts.sh"
REPLACED = {"exchange/tree_sum.c", "exchange/square_sum.c", "exchange/error_feedback.c", "comm/shared_memory.c", "base/memory.c"}
STRATEGIES = {  # name (without a comma, for gnuplot): exchange, wire
    "flat": ("allreduce", "fp32"),
    "flat bf16": ("allreduce", "bf16"),
    "node": ("node", "fp32"),
    "node bf16": ("node", "bf16"),
}
COMPARED_LINK = 1  # Gb/s between the hosts of a comparison: what TCP on this machine fills for certain


def run(command, **options):
    return subprocess.run([str(part) for part in command], check=True, text=True, capture_output=True, **options).stdout


def build(folder):
    flags = ["-std=gnu11", "-O2", "-D_GNU_SOURCE", "-Wno-unknown-pragmas", f"-I{ROOT}/include", f"-I{ROOT}/src",
             f"-I{SIMULATE}", "-include", "sim_mpi.h"]
    sources = [ROOT / "src" / "nn" / "model.c", *SIMULATE.glob("*.c")]
    for layer in ("base", "comm", "exchange"):
        sources += [path for path in sorted((ROOT / "src" / layer).glob("*.c")) if f"{layer}/{path.name}" not in REPLACED]
    objects = []
    for path in sources:
        extra = ["-DMPI_Allreduce=sim_allreduce"] if path.name == "allreduce.c" else []
        objects.append(folder / f"{path.parent.name}-{path.stem}.o")
        run(["smpicc", *flags, *extra, "-c", path, "-o", objects[-1]])
    run(["smpicc", *objects, "-o", folder / "simulate", "-ljansson", "-lxxhash", "-lm"])


def write_platform(path, nodes, gigabits, latency_us):
    path.write_text(f"""<?xml version='1.0'?>
<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1">
  <cluster id="cluster" prefix="node-" suffix="" radical="0-{nodes - 1}" speed="1Gf" bw="{gigabits / 8}GBps"
           lat="{latency_us}us" loopback_bw="10GBps" loopback_lat="1us"/>
</platform>
""")


def simulate(folder, options, ranks, nodes, gigabits, strategy, compute_s, bandwidth):
    """Seconds of a step."""
    write_platform(folder / "platform.xml", nodes, gigabits, options.latency)
    (folder / "hosts").write_text("".join(f"node-{rank * nodes // ranks}\n" for rank in range(ranks)))
    out = run(["smpirun", "-np", ranks, "-platform", folder / "platform.xml", "-hostfile", folder / "hosts",
               "--cfg=smpi/simulate-computation:no", "--cfg=smpi/coll-selector:ompi", "--cfg=smpi/display-timing:no",
               "--cfg=network/crosstraffic:no", "--cfg=smpi/test:0", f"--cfg=smpi/shared-malloc-blocksize:{64 << 20}",
               "--log=root.thres:error",
               folder / "simulate", *STRATEGIES[strategy], options.steps, bandwidth, compute_s],
              timeout=options.timeout, env={**os.environ, "TMPDIR": str(folder)})
    return float(out.strip().splitlines()[-1].split(",")[2])


def bench(options, launcher, ranks, part, *arguments, threads=1):
    return json.loads(run([*launcher, options.program, "bench", "--json", "--part", part, "--threads", threads, "--batch-size",
                           options.batch * ranks, "--precision", options.precision, *arguments]))


def compute_seconds(result):
    return sum(result["step"]["parts"][part]["median_s"] for part in ("prepare weights", "forward", "backward"))


def compare(folder, options, bandwidth):
    """Exchange and update with nothing to hide behind: measured beside predicted."""
    local = ["mpirun", "--oversubscribe", "--bind-to", "none", "-np"]
    cases = [(ranks, 1, "fp32", [*local, ranks]) for ranks in (2, 4, 8)]
    os.environ["HOSTS_RATE"] = f"{COMPARED_LINK}gbit"
    if subprocess.run([WITH_HOSTS, "1,1", "true"], capture_output=True, check=False).returncode == 0:
        cases += [(ranks, 2, wire, [WITH_HOSTS, f"{ranks // 2},{ranks // 2}"]) for ranks in (2, 4) for wire in ("fp32", "bf16")]
    cores = len(os.sched_getaffinity(0))
    together = bench(options, [], 1, "exchange", "--repeats", 1, threads=cores)["limits"]["update_bytes_per_s"]
    print(f"exchange and update, measured on {cores} cores (hosts: {COMPARED_LINK} Gb/s) and predicted:")
    for ranks, nodes, wire, launcher in cases:
        result = bench(options, launcher, ranks, "exchange", "--wire", wire, "--repeats", 5)
        measured = {row["strategy"]: row for row in result["exchange"]}
        share = min(bandwidth, together / ranks)
        for name, (exchange, strategy_wire) in STRATEGIES.items():
            if strategy_wire != wire:
                continue
            predicted = simulate(folder, options, ranks, nodes, COMPARED_LINK, name, 0, share)
            print(f"  {ranks} ranks on {nodes} node{'s'[:nodes > 1]}, {name:9s} measured {1e3 * measured[exchange]['median_s']:7.1f} ms "
                  f"(least {1e3 * measured[exchange]['least_s']:7.1f}), predicted {1e3 * predicted:7.1f} ms", flush=True)


def write_table(folder, options, links, compute_s, bandwidth):
    alone = simulate(folder, options, 1, 1, links[0], "flat", compute_s, bandwidth)
    print(f"one rank: {1e3 * alone:.1f} ms a step")
    with open(options.output, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["ranks", "gigabits", "strategy", "step_s", "efficiency"])
        for ranks in options.ranks:
            nodes = max(1, ranks // options.ranks_per_node)
            for gigabits in links:
                for name in options.strategies:
                    try:
                        step_s = simulate(folder, options, ranks, nodes, gigabits, name, compute_s, bandwidth)
                    except subprocess.TimeoutExpired:
                        print(f"{ranks:5d} ranks {gigabits:>4} Gb/s {name:9s} left out: took over {options.timeout:g} s")
                        continue
                    table.writerow([ranks, gigabits, name, f"{step_s:.6f}", f"{alone / step_s:.4f}"])
                    file.flush()
                    print(f"{ranks:5d} ranks {gigabits:>4} Gb/s {name:9s} step {1e3 * step_s:8.1f} ms, "
                          f"efficiency {100 * alone / step_s:5.1f} %", flush=True)


def plot(folder, path, links, strategies):
    panels = []
    for gigabits in links:
        series = ", ".join(f"'{path}' using (stringcolumn(3) eq '{name}' && $2 == {gigabits} ? $1 : NaN):(100 * $5) "
                           f"with linespoints title '{name}'" for name in strategies)
        panels.append(f"set title '{gigabits} Gb/s'\nplot {series}")
    script = folder / "plot.gp"
    script.write_text(f"""set terminal svg size {420 * len(links)},380 font 'sans,11' background rgb 'white'
set output '{path.with_suffix('.svg')}'
set datafile separator ','
set datafile missing NaN
set key bottom left
set logscale x 2
set yrange [0:*]
set grid
set xlabel 'ranks'
set ylabel 'efficiency against one rank, %'
set multiplot layout 1,{len(links)}
""" + "\n".join(panels) + "\nunset multiplot\n")
    run(["gnuplot", script])
    print(f"picture: {path.with_suffix('.svg')}")


def check_name(name):
    if name not in STRATEGIES:
        raise argparse.ArgumentTypeError(f"there is no {name!r}: give some of {', '.join(STRATEGIES)}")
    return name


def parse():
    numbers = lambda text: [float(part) if "." in part else int(part) for part in text.split(",")]
    names = lambda text: [check_name(part) for part in text.split(",")]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=ROOT / "build/release/src/app/vgg11_dist", help="the built vgg11_dist")
    parser.add_argument("--ranks", type=numbers, default="8,16,32,64,128,256,512,1024", help="rank counts to simulate")
    parser.add_argument("--ranks-per-node", type=int, default=8)
    parser.add_argument("--links", type=numbers, default="10,25,100", help="Gb/s of each node's link")
    parser.add_argument("--strategies", type=names, default="flat,node,node bf16",
                        help=f"of {', '.join(STRATEGIES)}; the second takes very long beyond 128 ranks")
    parser.add_argument("--latency", type=float, default=20, help="microseconds of a link")
    parser.add_argument("--batch", type=int, default=32, help="images a rank and step")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--compute-ms", type=float, help="forward and backward of one rank; otherwise measured")
    parser.add_argument("--bandwidth", type=float, help="GB/s of memory for each rank; otherwise measured with one")
    parser.add_argument("--steps", type=int, default=1, help="simulated steps to average; all are alike but for the first's start")
    parser.add_argument("--compare", action="store_true", help="also measure few ranks here, and predict the same")
    parser.add_argument("--timeout", type=float, default=900, help="seconds for one simulation; longer ones are left out")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("scaling-simulated.csv"))
    return parser.parse_args()


def main():
    options = parse()
    for tool in ("smpicc", "smpirun"):
        if not shutil.which(tool):
            print(f"simulate_cluster: {tool} is missing; install SimGrid (Debian: libsimgrid-dev)", file=sys.stderr)
            sys.exit(77)
    compute_s, bandwidth = (options.compute_ms or 0) / 1e3, (options.bandwidth or 0) * 1e9
    if not compute_s or not bandwidth:
        measured = bench(options, [], 1, "step")
        compute_s = compute_s or compute_seconds(measured)
        bandwidth = bandwidth or measured["limits"]["update_bytes_per_s"]
    print(f"a rank's computation {1e3 * compute_s:.1f} ms a step, its memory {bandwidth / 1e9:.1f} GB/s")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        build(folder)
        if options.compare:
            compare(folder, options, bandwidth)
        write_table(folder, options, options.links, compute_s, bandwidth)
        if shutil.which("gnuplot"):
            plot(folder, options.output.resolve(), options.links, options.strategies)
    print(f"table: {options.output}")
    print("good for the order of strategies and the place of the knee; a single figure to some tens of percent (--help says why)")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(error.cmd)}: exit status {error.returncode}\n{error.stderr}")
