#!/usr/bin/env python3
"""How long recipes of vgg11_dist take to an accuracy, over several seeds, as a Markdown table.

A recipe is a name and options of `vgg11_dist train`; each is run once for every seed, evaluated every --eval-every steps:

  bench/time_to_accuracy.py --seeds 5 --recipe "default:" --recipe "fast: --preset fast" --common "--precision bf16"
  bench/time_to_accuracy.py ... --common "--validation 5000"            while recipes are being chosen
  bench/time_to_accuracy.py ... --peer /path/to/python --peer-options "--channels-last"    the same recipes in PyTorch

The runs go to --output, where each that is complete is taken as it is: the same command again goes on where it was stopped,
within a run, too, where that has saved a checkpoint. Steps, images and seconds to an accuracy are those of the first
evaluation that reached it, median over the seeds; seconds are of training alone, without evaluations, saves and start.
"""
import argparse
import json
import pathlib
import shlex
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TARGETS = (0.98, 0.99, 0.994, 0.995, 0.996)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(HERE.parent / "build/release/src/app/vgg11_dist"))
    parser.add_argument("--recipe", action="append", metavar="NAME:OPTIONS", help="default \"default:\"; may be given again")
    parser.add_argument("--common", default="", metavar="OPTIONS", help="options of all recipes")
    parser.add_argument("--seeds", type=int, default=5, help="seeds 1, 2, ...")
    parser.add_argument("--eval-every", type=int, default=50, metavar="STEPS")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("runs/time_to_accuracy"))
    parser.add_argument("--peer", metavar="PYTHON", help="interpreter with PyTorch and Pillow: each recipe there as well")
    parser.add_argument("--peer-options", default="", metavar="OPTIONS", help="of torch_recipe.py, such as --channels-last")
    parser.add_argument("--data", default=str(HERE.parent / "data/mnist"), help="folder of the four IDX files")
    options = parser.parse_args()
    named = [recipe.partition(":") for recipe in options.recipe or ["default:"]]
    options.recipes = [(name.strip(), shlex.split(words)) for name, _, words in named]
    return options


def evaluations(path):
    """Of the lines of a run: those of steps that it took again after it was stopped count once, the last time."""
    found, images = {}, 0
    for line in path.read_text().splitlines():
        event = json.loads(line)
        images += event.get("samples", 0) if event["event"] == "step" else 0
        if event["event"] == "eval":
            found[event["step"]] = {**event, "images": event.get("images", images)}
    return [found[step] for step in sorted(found)]


def run_ours(options, words, folder, seed):
    summary = folder / "summary.json"
    if summary.exists() and json.loads(summary.read_text())["status"] == 0:
        return
    command = [options.program, "train", "--seed", str(seed), "--threads", str(options.threads), "--eval-every",
               str(options.eval_every), "--data", options.data, "--output", str(folder), "--resume=auto", "--checkpoint-every", "0",
               "--progress", "none", "--quiet", *shlex.split(options.common), *words]
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(command, check=True)


def run_peer(options, config, folder, seed):
    lines, done = folder / "metrics.jsonl", folder / "complete"
    if done.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    command = [options.peer, str(HERE / "torch_recipe.py"), "--config", str(config), "--seed", str(seed), "--threads",
               str(options.threads), "--data", options.data, *shlex.split(options.peer_options)]
    with open(lines, "w") as out:
        subprocess.run(command, check=True, stdout=out)
    done.touch()


def first_to(evals, target):
    return next((event for event in evals if event["test_accuracy"] >= target), None)


def cell(runs, target):
    """Median steps, images and seconds, and how many of the seeds got there if not all."""
    reached = [event for event in (first_to(evals, target) for evals in runs) if event]
    if not reached:
        return "-"
    steps, images, seconds = (statistics.median(event[key] for event in reached) for key in ("step", "images", "train_s"))
    seldom = f" ({len(reached)} of {len(runs)})" if len(reached) < len(runs) else ""
    return f"{steps:.0f} / {images / 1000:.0f}k / {seconds:.1f} s{seldom}"


def row(name, runs):
    final = [100 * evals[-1]["test_accuracy"] for evals in runs]
    seconds = statistics.median(evals[-1]["train_s"] for evals in runs)
    cells = [name, *(cell(runs, target) for target in TARGETS), f"{statistics.mean(final):.2f} ({min(final):.2f})", f"{seconds:.0f}"]
    return f"| {' | '.join(cells)} |"


def measure(options, name, words):
    """The evaluations of each seed: ours, and the peer's if there is one."""
    ours, theirs = [], []
    for seed in range(1, options.seeds + 1):
        folder, start = options.output / name / str(seed), time.monotonic()
        run_ours(options, words, folder, seed)
        ours.append(evaluations(folder / "metrics.jsonl"))
        if options.peer:
            twin = options.output / f"{name}, PyTorch" / str(seed)
            run_peer(options, folder / "config.json", twin, seed)
            theirs.append(evaluations(twin / "metrics.jsonl"))
        print(f"{name}, seed {seed} of {options.seeds}: {100 * ours[-1][-1]['test_accuracy']:.2f} %, "
              f"{time.monotonic() - start:.0f} s", file=sys.stderr)
    return ours, theirs


def main():
    options = parse_options()
    table = []
    for name, words in options.recipes:
        ours, theirs = measure(options, name, words)
        table.append(row(name, ours))
        if theirs:
            table.append(row(f"{name}, PyTorch", theirs))
    print(f"| recipe | {' | '.join(f'{100 * target:g} %' for target in TARGETS)} | final %, mean (least) | seconds |")
    print(f"|{' --- |' * (len(TARGETS) + 3)}")
    print("\n".join(table))
    print(f"\nTo an accuracy: steps / images / seconds of training, medians of {options.seeds} seeds.")


if __name__ == "__main__":
    main()
