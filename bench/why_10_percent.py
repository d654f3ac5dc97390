#!/usr/bin/env python3
"""Why a VGG11 on MNIST stays at 10 %: the setting of the question (`--preset question`: 6,000 images, one epoch, batch 32, SGD with lr 0.001)
in all combinations of what was wrong or might have been, as a Markdown table.

  bench/why_10_percent.py                                 prints the table; each of its twelve runs takes about half a minute on two free cores
  bench/why_10_percent.py --into docs/why-10-percent.md   replaces the table of that page
  bench/why_10_percent.py --folder DIR                    keeps the run folders there, and takes those that are there already

Needs only Python's standard library. All runs are of one rank, and time no algorithms (--no-tune), so that the same machine gives the same
numbers again.
"""
import argparse
import itertools
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- table -->", "<!-- end of the table -->"
BUGS = {"mended": (), "all but two blank": ("--resize-bug",)}
SCALES = {"none": "0 to 255", "unit": "0 to 1", "standard": "mean 0, deviation 1"}
INITIALISERS = {"glorot": "Glorot", "he": "He"}
CHANCE_SLACK = 0.02  # of ln 10


def command(program, bug, scale, init, threads, folder):
    """Without checkpoints, which would take 250 MB a run."""
    return [program, "train", "--preset", "question", *BUGS[bug], "--normalize", scale, "--init", init, "--no-tune", "--threads", str(threads),
            "--checkpoint-every", "0", "--quiet", "--output", str(folder)]


def run(program, bug, scale, init, threads, folder):
    """The events of the run, which is only started where the folder is not there already; it gets its name when the run has ended."""
    if not folder.exists():
        unfinished = folder.with_name(folder.name + "-unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        finished = subprocess.run(command(program, bug, scale, init, threads, unfinished), capture_output=True, text=True, check=False)
        if finished.returncode != 0:
            sys.exit(f"{' '.join(finished.args)}\nended with status {finished.returncode}: {finished.stderr}")
        unfinished.rename(folder)
    with open(folder / "metrics.jsonl", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def line_of(bug, scale, init, events):
    losses = [event["loss"] for event in events if event["event"] == "step"]
    last = [event for event in events if event["event"] == "eval"][-1]
    quarter = losses[-len(losses) // 4:]
    mean = sum(quarter) / len(quarter)
    stays = abs(mean / math.log(10) - 1) < CHANCE_SLACK
    accuracy = f"{100 * last['test_accuracy']:.2f} %"
    return f"| {bug} | {SCALES[scale]} | {INITIALISERS[init]} | {mean:.3f}{' (chance)' if stays else ''} | {accuracy if stays else f'**{accuracy}**'} |"


def table(arguments, folder):
    lines = ["| images | pixels | initialisation | loss, last quarter of the epoch | test accuracy |", "| --- | --- | --- | --- | --- |"]
    settings = list(itertools.product(BUGS, SCALES, INITIALISERS))
    for number, (bug, scale, init) in enumerate(settings, 1):
        name = f"{'bug' if BUGS[bug] else 'mended'}-{scale}-{init}"
        print(f"{number}/{len(settings)} {name}", file=sys.stderr)
        lines.append(line_of(bug, scale, init, run(arguments.program, bug, scale, init, arguments.threads, folder / name)))
        print(lines[-1], file=sys.stderr)
    return "\n".join(lines)


def replace_table(page, text):
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(ROOT / "build/release/src/app/vgg11_dist"))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--into", type=pathlib.Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        text = table(arguments, arguments.folder or pathlib.Path(temporary))
    if arguments.into:
        replace_table(arguments.into, text)
    else:
        print(text)


if __name__ == "__main__":
    main()
