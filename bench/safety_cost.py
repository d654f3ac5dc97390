#!/usr/bin/env python3
"""What the checks of a run cost: one training whose trace has a check of all copies after each step and a checkpoint every few, and from
its spans the share of a run that they take at the default intervals; and the processor time of the watchdog.

bench/safety_cost.py --program build/release/src/app/vgg11_dist [--ranks 2]
"""
import argparse
import collections
import json
import os
import shlex
import statistics
import subprocess
import tempfile
import time

CHECK_EVERY, EPOCH_IMAGES = 100, 60000  # --check-every, and a checkpoint an epoch


def launch(asked, folder):
    options = ["train", "--train-samples", str(asked.steps * asked.batch), "--test-samples", "1", "--batch-size", str(asked.batch), "--epochs",
               "1", "--threads", str(asked.threads), "--precision", asked.precision, "--quiet", "--check-every", "1", "--checkpoint-steps",
               str(asked.steps // 4), "--keep", "1", "--output", os.path.join(folder, "run"), "--trace", os.path.join(folder, "trace.json"),
               "--trace-steps", f"1:{asked.steps}"]
    return subprocess.Popen(shlex.split(asked.mpirun.format(asked.ranks)) * (asked.ranks > 1) + [asked.program, *options])


def processor_s(process):
    """Of each thread of this process but the first."""
    found = {}
    for thread in os.listdir(f"/proc/{process}/task"):
        try:
            with open(f"/proc/{process}/task/{thread}/schedstat", encoding="ascii") as file:
                spent = int(file.read().split()[0]) * 1e-9
        except OSError:
            continue  # ended meanwhile
        if int(thread) != process:
            found[thread] = spent
    return found


def median_s(spans, name):
    return statistics.median([span["dur"] * 1e-6 for span in spans if span["name"] == name] or [0.0])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/src/app/vgg11_dist")
    parser.add_argument("--mpirun", default="mpirun -np {}")
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--precision", default="fp32")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        start, threads, seen, looks = time.monotonic(), {}, collections.Counter(), 0
        process = launch(asked, folder)
        while process.poll() is None:
            if asked.ranks == 1:
                now = processor_s(process.pid)
                threads.update(now)
                seen.update(now)
                looks += 1
            time.sleep(0.2)
        wall_s = time.monotonic() - start
        if process.returncode != 0:
            raise SystemExit(process.returncode)
        with open(os.path.join(folder, "trace.json"), encoding="utf-8") as file:
            spans = [event for event in json.load(file)["traceEvents"] if event["ph"] == "X" and event["pid"] == 0 and event["tid"] == 0]
    checks, saves = median_s(spans, "check copies"), median_s(spans, "checkpoint")
    step = median_s(spans, "step") - checks
    print(f"{asked.ranks} x {asked.threads}, {asked.precision}, {asked.batch} images: a step {step * 1e3:.1f} ms")
    print(f"check of all copies {checks * 1e3:.2f} ms: {checks / (CHECK_EVERY * step):.3%} of a run that checks every {CHECK_EVERY} steps")
    print(f"training waits for a checkpoint {saves * 1e3:.1f} ms: {saves / (EPOCH_IMAGES / asked.batch * step):.3%} of a run that saves every epoch")
    if asked.ranks == 1 and asked.threads == 1:
        # Those that write a checkpoint are there for that time only.
        stay = [threads[thread] / wall_s for thread in seen if seen[thread] > looks / 2]
        print(f"the watchdog, with MPI's own threads, takes {sum(stay):.5%} of a processor")


if __name__ == "__main__":
    main()
