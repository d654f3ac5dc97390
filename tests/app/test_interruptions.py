"""Runs that are interrupted at random, again and again, and go on: nothing that was reported as saved is lost, and they end in the bits
of a run that was left alone.

VGG11_TEST_INTERRUPTIONS is their number (8), VGG11_TEST_SEED what they are drawn from (the time); with VGG11_TEST_KILLS=1 all are
SIGKILLs.
"""
import os
import random
import signal
import time
import unittest

import cli
from test_bits import digest

COUNT = int(os.environ.get("VGG11_TEST_INTERRUPTIONS", "8"))
SEED = int(os.environ.get("VGG11_TEST_SEED", str(time.time_ns())))
ASKING = [] if os.environ.get("VGG11_TEST_KILLS") == "1" else [signal.SIGUSR1, signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
RUN = ["train", *cli.TINY, "--epochs", "1000", "--checkpoint-steps", "1", "--keep", "1", "--output", "run", "--quiet"]


def newest_step(folder):
    """Of what is there; 0 for nothing."""
    found = cli.checkpoints(folder) if os.path.isdir(folder) else []
    return int(found[-1][len("checkpoint-"):-len(".safetensors")]) if found else 0


class Interruptions(cli.Case):
    def reported(self):
        """The step of the newest checkpoint that a whole line of the metrics tells of."""
        steps = [0]
        path = self.path("run", "metrics.jsonl")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                steps += [int(line.split('"step":')[1].split(",")[0]) for line in file if '"event":"checkpoint"' in line]
        return steps[-1]

    def kill(self, processes):
        for process in processes:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass  # ended meanwhile

    def kill_all(self):
        """And with them who would remove the files through which Open MPI's ranks talk."""
        self.kill(self.job.processes())
        folder = os.environ.get("OMPI_MCA_btl_vader_backing_directory")
        self.assertEqual(self.job.left(), [], self.job.describe())
        for name in os.listdir(folder) if folder else []:
            os.unlink(os.path.join(folder, name))

    def interrupt(self, chosen, process):
        """All at once, one rank, or one rank that is asked to end."""
        ranks = list(self.programs(os.path.basename(cli.PROGRAM)))
        if chosen == "all" or not ranks:
            self.kill_all()
        elif chosen == "rank":
            self.kill(ranks[-1:])
        else:
            try:
                os.kill(ranks[-1], chosen)
            except ProcessLookupError:
                pass
        outcome = self.finish(process)
        self.assertEqual(self.job.left(), [], self.job.describe())
        if chosen in ASKING and outcome.status != 75:
            self.assertNotEqual(outcome.status, 0, outcome.err)

    def leg(self, draw, saved, start_s):
        """One start, which is interrupted some time between its first moment and some steps later; returns how long it went on."""
        chosen = draw.choice(["all", "all", "rank", *ASKING])
        process = self.start(cli.launch([*RUN, "--resume=auto"]))
        begin = time.monotonic()
        patience = draw.uniform(0, 2 * start_s)
        while time.monotonic() - begin < patience and process.poll() is None:
            time.sleep(0.005)
        self.interrupt(chosen, process)
        self.assertGreaterEqual(newest_step(self.path("run")), max(saved, self.reported()), f"{chosen} after {patience:.3f} s")
        return chosen

    def time_of_a_start(self):
        """From a process to its second step."""
        begin = time.monotonic()
        process = self.start(cli.launch([*RUN, "--resume=auto"]))
        self.wait_for_step(2, process)
        took = time.monotonic() - begin
        self.kill_all()
        self.finish(process)
        return took

    def test_none_is_lost_and_the_end_is_the_same(self):
        print(f"VGG11_TEST_SEED={SEED}", flush=True)
        draw = random.Random(SEED)
        start_s = self.time_of_a_start()
        counts = {}
        for _ in range(COUNT):
            chosen = self.leg(draw, newest_step(self.path("run")), start_s)
            counts[str(chosen)] = counts.get(str(chosen), 0) + 1
        last = newest_step(self.path("run")) + 1
        self.assertGreater(last, 2)
        for output, flags in [("run", ["--resume=auto"]), ("alone", ["--checkpoint-steps", "0"])]:
            outcome = self.run_program(*RUN, "--output", output, "--max-steps", str(last), *flags)
            self.assertEqual(outcome.status, 0, outcome.err)
        steps = [step["step"] for step in cli.events(self.path("run"), "step")]
        self.assertEqual(steps, list(range(1, last + 1)))
        self.assertEqual(digest(self.path("run")), digest(self.path("alone")))
        print(f"{COUNT} interruptions {counts}, {last} steps", flush=True)


if __name__ == "__main__":
    unittest.main()
