"""train --trace: what every rank did in the steps that were named, in a file that trace viewers read."""
import hashlib
import os
import signal
import unittest

import cli
from trace_file import TraceFile

HOST = os.uname().nodename
STEPS = 4  # of cli.TINY
MICRO_BATCHES = 2 * cli.RANKS
SETTING = ["--threads", "1", "--check-every", "2"]


def names(ranks=cli.RANKS, host=HOST):
    return [f"rank {rank} on {host}" for rank in range(ranks)]


class Trace(cli.Case):
    images = [16 // cli.RANKS]

    def traced(self, *arguments):
        self.train(*SETTING, "--trace", "trace.json", "--checkpoint-every", "0", *arguments)
        return TraceFile(self, self.path("trace.json"))

    def digest(self, run):
        whole = hashlib.sha256()
        for name, data in sorted(cli.tensors(self.path(run, f"checkpoint-{STEPS:08d}.safetensors")).items()):
            whole.update(name.encode() + b"\0" + data)
        losses = [(step["loss"], step["grad_norm"]) for step in cli.events(self.path(run), "step")]
        return whole.hexdigest(), losses

    def test_all_steps_and_the_same_bits(self):
        self.train(*SETTING, "--output", "without")
        self.train(*SETTING, "--output", "with", "--trace", "trace.json")
        self.assertEqual(self.digest("with"), self.digest("without"))
        trace = TraceFile(self, self.path("trace.json"))
        trace.check(names(), [1, 2, 3, 4], self.images)
        for rank in range(cli.RANKS):
            told = [span["name"] for span in trace.of(rank)]
            for name in ["input", "loss", "exchange", "norm and clip", "agree on step", "update", "prepare weights"]:
                self.assertEqual(told.count(name), STEPS, name)
            for name in ["evaluation", "checkpoint"]:
                self.assertEqual(told.count(name), 1, name)
            self.assertEqual(told.count("report"), STEPS)
            self.assertEqual(told.count("conv1 forward"), STEPS)  # and none for each batch of the evaluation
            self.assertGreaterEqual(told.count("check copies"), 2)
            self.assertEqual(len(trace.of(rank, 1)), 1 if rank == 0 else 0)  # the writing of the checkpoint

    def test_the_window(self):
        self.traced("--trace-steps", "2:3").check(names(), [2, 3], self.images)

    def test_micro_batches(self):
        trace = self.traced("--trace-steps", "1:1", "--micro-batches", str(MICRO_BATCHES), "--exchange", "overlap")
        trace.check(names(), [1], [16 // MICRO_BATCHES] * 2)
        messages = [span for span in trace.spans if span["tid"] >= 2]
        self.assertEqual({span["name"] for span in messages}, {"bucket"} if cli.RANKS > 1 else set())

    def test_a_rank_without_images(self):
        """An epoch of 17 images ends with a batch of one."""
        trace = self.traced("--train-samples", "17")
        self.assertEqual(trace.names(), names())
        trace.check_lines()
        last = [[span["name"] for span in trace.steps(rank)[2][1]] for rank in range(cli.RANKS)]
        self.assertEqual(["conv1 forward" in told for told in last], [rank == 0 for rank in range(cli.RANKS)])
        self.assertEqual(["gradient of no images" in told for told in last], [rank > 0 for rank in range(cli.RANKS)])

    def test_a_stopped_run_writes_what_it_has(self):
        process = self.start(cli.launch(["train", *cli.TINY, *SETTING, "--epochs", "1000", "--trace", "trace.json", "--output", "run",
                                         "--trace-steps", "2:900", "--eval-every", "0", "--checkpoint-every", "0"]))
        self.wait_for_step(2, process)
        os.kill(self.rank(cli.RANKS - 1), signal.SIGUSR1)
        outcome = self.finish(process)
        self.assertEqual(outcome.status, 75, outcome.err)
        trace = TraceFile(self, self.path("trace.json"))
        last = cli.events(self.path("run"), "step")[-1]["step"]
        trace.check(names(), list(range(2, last + 1)), self.images)

    def test_a_failed_run_writes_what_it_has(self):
        outcome = self.run_program("train", *cli.TINY, *SETTING, "--lr", "1000", "--clip-norm", "0", "--trace", "trace.json")
        self.assertEqual(outcome.status, 6, outcome.err)
        self.assertEqual(len([line for line in outcome.errors() if line.startswith("vgg11_dist: ")]), 1, outcome.err)
        trace = TraceFile(self, self.path("trace.json"))
        self.assertEqual(trace.names(), names())
        self.assertGreaterEqual(min(len(trace.steps(rank)) for rank in range(cli.RANKS)), 1)


class Death(cli.Case):
    def test_a_killed_rank_keeps_nobody(self):
        process = self.start(cli.launch(["train", *cli.TINY, *SETTING, "--epochs", "1000", "--trace", "trace.json", "--output", "run"]))
        self.wait_for_step(2, process)
        os.kill(self.rank(cli.RANKS - 1), signal.SIGKILL)
        self.assertNotEqual(self.finish(process).status, 0)


class Steps(cli.Case):
    def test_refused(self):
        for value in ["", "1", "1:", ":1", "0:1", "2:1", "1:2:3", "a:b", "-1:2", "+1:2", " 1:2", "1:2 ", "1:1001",
                      "1:99999999999999999999"]:
            with self.subTest(value=value):
                self.assert_refused(2, "--trace-steps.*expected", "train", *cli.TINY, "--trace", "trace.json", "--trace-steps", value)
        self.assert_refused(2, "--trace-steps: says which steps --trace shows", "train", *cli.TINY, "--trace-steps", "1:2")
        self.assertFalse(os.path.exists(self.path("trace.json")))
        self.assertFalse(os.path.exists(self.path("runs")))

    def test_a_run_that_goes_on(self):
        """Unless they are named, its own first steps are traced; a window that it has passed is told."""
        self.train("--output", "run", "--max-steps", "2")
        outcome = self.run_program("--resume", "run", "--trace", "trace.json", "--trace-steps", "1:2")
        self.assertEqual(outcome.status, 0, outcome.err)
        self.assertIn("vgg11_dist: warning: --trace-steps 1:2: this run takes steps 3 to 4, none of them: the trace is empty", outcome.lines)
        self.assertEqual(TraceFile(self, self.path("trace.json")).spans, [])
        self.train("--output", "other", "--max-steps", "2")
        outcome = self.run_program("--resume", "other", "--trace", "trace.json")
        self.assertEqual(outcome.status, 0, outcome.err)
        trace = TraceFile(self, self.path("trace.json"))
        self.assertEqual(sorted(trace.steps(0)), [3, 4])

    def test_the_first_20(self):
        self.train("--batch-size", "1", "--train-samples", "22", "--trace", "trace.json", "--checkpoint-every", "0", "--quiet")
        self.assertEqual(sorted(TraceFile(self, self.path("trace.json")).steps(0)), list(range(1, 21)))


if __name__ == "__main__":
    unittest.main()
