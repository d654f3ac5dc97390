#!/usr/bin/env python3
"""vgg11_dist's training step against PyTorch's on this machine, in turns (A B A B ...), as a Markdown table.

Each turn is a fresh process of one program, then of the other: `vgg11_dist bench --part step` and torch_vgg11.py
beside this file. Both run the same network, batch size and step (forward, loss, backward, global clip, Nesterov update) on
synthetic data. A turn counts with the median of its steps; a pair of turns gives one ratio, PyTorch's time over ours; the
table shows the median ratio of all pairs, and the least and the greatest. Before the pairs PyTorch runs once in each
memory layout, and the faster one is taken, so that the peer is shown at its best.

  bench/compare_torch.py --program build/release/src/app/vgg11_dist --batch 32,128 --threads 1,2
  bench/compare_torch.py --program ... --batch 64 --ranks 2 --threads 1          (DistributedDataParallel over gloo)
  bench/compare_torch.py --program ... --batch 128 --threads 2 --pairs bf16:fp32,bf16:bf16   (ours : PyTorch's)

Needs only Python's standard library itself; --torch-python names an interpreter that has PyTorch.
"""
import argparse
import json
import os
import pathlib
import shlex
import socket
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
PRECISIONS = ("fp32", "bf16")


def whole_numbers(text):
    values = [int(word) for word in text.split(",")]
    if min(values) < 1:
        raise argparse.ArgumentTypeError(f"{text}: wants numbers of at least 1")
    return values


def precision_pairs(text):
    pairs = [tuple(word.split(":")) for word in text.split(",")]
    if any(len(pair) != 2 or not set(pair) <= set(PRECISIONS) for pair in pairs):
        raise argparse.ArgumentTypeError(f"{text}: wants ours:theirs, each fp32 or bf16, e.g. fp32:fp32,bf16:fp32")
    return pairs


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="the vgg11_dist to measure")
    parser.add_argument("--torch-python", default=sys.executable, metavar="PATH",
                        help="a Python that has PyTorch (default: this one)")
    parser.add_argument("--batch", type=whole_numbers, default=[32, 128], metavar="N,...",
                        help="global batch sizes (default: 32,128)")
    parser.add_argument("--threads", type=whole_numbers, default=[os.cpu_count()], metavar="N,...",
                        help="threads a rank (default: as many as there are processors)")
    parser.add_argument("--ranks", type=whole_numbers, default=[1], metavar="N,...", help="ranks (default: 1)")
    parser.add_argument("--pairs", type=precision_pairs, default=[("fp32", "fp32")], metavar="OURS:THEIRS,...",
                        help="precisions to set against each other (default: fp32:fp32)")
    parser.add_argument("--turns", type=int, default=3, help="pairs of turns for each line (default: 3)")
    parser.add_argument("--steps", type=int, default=8, help="timed steps in a turn (default: 8)")
    parser.add_argument("--bench-options", default="", metavar="TEXT", help="further options for `vgg11_dist bench`")
    parser.add_argument("--mpirun", default="mpirun --oversubscribe", metavar="TEXT",
                        help="how ours is started on more than one rank (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write every turn's step times there, too")
    return parser.parse_args()


def run(command, environment=None):
    """Standard output of a command that must succeed."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        sys.exit(f"compare_torch.py: exit status {done.returncode} of {shlex.join(map(str, command))}: {last}")
    return done.stdout


def ours(options, case, precision):
    """Step times in seconds of one turn of vgg11_dist."""
    command = [options.program, "bench", "--part", "step", "--json", "--batch-size", case["batch"], "--threads",
               case["threads"], "--precision", precision, "--repeats", options.steps]
    command += shlex.split(options.bench_options)
    if case["ranks"] > 1:
        bind = "none" if case["threads"] > 1 else "core"
        command = shlex.split(options.mpirun) + ["--bind-to", bind, "-np", case["ranks"]] + command
    return json.loads(run([str(word) for word in command]))["step"]["seconds"]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def torch_result(options, case, precision, layout):
    """What torch_vgg11.py printed in one turn."""
    command = [options.torch_python, str(HERE / "torch_vgg11.py"), "--batch", case["batch"], "--threads",
               case["threads"], "--precision", precision, "--steps", options.steps]
    command = [str(word) for word in command] + (["--channels-last"] if layout == "channels_last" else [])
    if case["ranks"] == 1:
        return json.loads(run(command))
    world = dict(os.environ, WORLD_SIZE=str(case["ranks"]), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(free_port()))
    others = [subprocess.Popen(command, env=dict(world, RANK=str(rank)), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL) for rank in range(1, case["ranks"])]
    try:
        return json.loads(run(command, dict(world, RANK="0")))
    finally:
        for other in others:
            other.terminate()
            other.wait()


def faster_layout(options, case, precision):
    times = {layout: statistics.median(torch_result(options, case, precision, layout)["step_s"])
             for layout in ("contiguous", "channels_last")}
    return min(times, key=times.get)


def compare(options, case, precisions):
    """One line of the table: the turns of both programs, in alternation."""
    mine, theirs = precisions
    layout = faster_layout(options, case, theirs)
    turns = []
    for _ in range(options.turns):
        peer = torch_result(options, case, theirs, layout)
        turns.append({"torch_s": peer["step_s"], "ours_s": ours(options, case, mine)})
    return {**case, "ours": mine, "torch": theirs, "torch_version": peer["torch"], "layout": layout, "turns": turns}


def table_line(result):
    torch_medians = [statistics.median(turn["torch_s"]) for turn in result["turns"]]
    our_medians = [statistics.median(turn["ours_s"]) for turn in result["turns"]]
    ratios = [theirs / mine for theirs, mine in zip(torch_medians, our_medians)]
    mine, theirs = statistics.median(our_medians), statistics.median(torch_medians)
    return (f"| {result['batch']} | {result['ranks']} x {result['threads']} | {result['ours']} | "
            f"{mine * 1e3:.1f} | {result['batch'] / mine:.0f} | {result['torch']}, {result['layout']} | "
            f"{theirs * 1e3:.1f} | {result['batch'] / theirs:.0f} | **{statistics.median(ratios):.2f}** "
            f"({min(ratios):.2f} - {max(ratios):.2f}) |")


def main():
    options = parse_options()
    print("| batch | ranks x threads | ours | ms | images/s | PyTorch | ms | images/s | times faster (least - most) |\n"
          "| --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    results = []
    for ranks in options.ranks:
        for threads in options.threads:
            for batch in options.batch:
                for precisions in options.pairs:
                    case = {"batch": batch, "ranks": ranks, "threads": threads}
                    results.append(compare(options, case, precisions))
                    print(table_line(results[-1]), flush=True)
    print(f"\nPyTorch {results[-1]['torch_version']}; medians of {options.turns} pairs of turns of {options.steps} "
          "steps.")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
