#!/usr/bin/env python3
"""What `train --trace` costs: the same training by turns without a trace and with one of all steps (A B B A ..., so that what comes first
has no advantage), the median step of each turn, and of each four turns the ratio of their means.

bench/trace_cost.py --program build/release/src/app/vgg11_dist --fours 5
"""
import argparse
import json
import os
import statistics
import subprocess
import tempfile

WARM_UP_STEPS = 3


def median_step_s(program, steps, batch, threads, trace):
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "train", "--train-samples", str(steps * batch), "--test-samples", "1", "--batch-size", str(batch), "--epochs", "1",
                   "--threads", str(threads), "--no-tune", "--quiet", "--checkpoint-every", "0", "--output", os.path.join(folder, "run")]
        if trace:
            command += ["--trace", os.path.join(folder, "trace.json"), "--trace-steps", f"1:{steps}"]
        subprocess.run(command, check=True)
        with open(os.path.join(folder, "run", "metrics.jsonl"), encoding="utf-8") as file:
            events = [json.loads(line) for line in file]
    return statistics.median([event["step_s"] for event in events if event["event"] == "step"][WARM_UP_STEPS:])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="build/release/src/app/vgg11_dist")
    parser.add_argument("--fours", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    ratios = []
    for _ in range(asked.fours):
        turns = [median_step_s(asked.program, asked.steps, asked.batch, asked.threads, trace) for trace in (False, True, True, False)]
        without, traced = (turns[0] + turns[3]) / 2, (turns[1] + turns[2]) / 2
        ratios.append(traced / without)
        print(f"{1e3 * without:8.2f} ms without, {1e3 * traced:8.2f} ms with a trace: {ratios[-1]:.4f}", flush=True)
    print(f"median ratio {statistics.median(ratios):.4f} ({min(ratios):.4f} - {max(ratios):.4f})")


if __name__ == "__main__":
    main()
