"""What TensorBoard itself reads of --tensorboard.

VGG11_TEST_TENSORBOARD names the python of a virtual environment that has the package tensorboard; without it nothing is looked at.
"""
import json
import math
import os
import sys
import unittest

import cli

PYTHON = os.environ.get("VGG11_TEST_TENSORBOARD")
NOT_RUN = 77

# Runs in that environment: every event as the loader of one file gives it, and the curves as its accumulator of a folder keeps them.
READER = """
import glob, json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader, LegacyEventFileLoader
from tensorboard.util import tensor_util
folder = sys.argv[1]
files = [[[event.wall_time, event.step, event.file_version] for event in EventFileLoader(path).Load()]
         for path in sorted(glob.glob(folder + "/events.out.tfevents.*"))]
curves = EventAccumulator(folder, size_guidance={"tensors": 0, "scalars": 0})
curves.Reload()
scalars = {tag: [[event.wall_time, event.step, float(tensor_util.make_ndarray(event.tensor_proto))] for event in curves.Tensors(tag)]
           for tag in curves.Tags()["tensors"]}
scalars.update({tag: [[event.wall_time, event.step, event.value] for event in curves.Scalars(tag)] for tag in curves.Tags()["scalars"]})
json.dump({"files": files, "scalars": scalars}, sys.stdout)
"""


class Peer(cli.Case):
    def read(self):
        outcome = self.run_command([PYTHON, "-c", READER, "curves"])
        self.assertEqual(outcome.status, 0, outcome.err)
        return json.loads(outcome.out)

    def check(self, found, kind, tags):
        lines = cli.events(self.path("run"), kind)
        for tag, name in tags.items():
            points = found["scalars"][tag]
            self.assertEqual([point[1] for point in points], [line["step"] for line in lines], tag)
            for point, line in zip(points, lines):
                self.assertTrue(math.isclose(point[2], line[name], rel_tol=2e-7), (tag, point, line[name]))

    def test_a_run_that_goes_on_from_an_older_checkpoint(self):
        """TensorBoard then shows each step once, as it was taken last."""
        self.train("--output", "run", "--tensorboard", "curves", "--checkpoint-steps", "2", "--keep", "0", "--quiet")
        self.assertEqual([event[1] for event in self.read()["files"][0]], [0, 1, 2, 3, 4, 4])
        outcome = self.run_program("--resume", self.path("run", cli.checkpoints(self.path("run"))[0]), "--tensorboard", "curves", "--quiet",
                                   "--lr", "0.02")
        self.assertEqual(outcome.status, 0, outcome.err)
        found = self.read()
        self.assertEqual([event[1] for event in found["files"][1]], [0, 3, 3, 4, 4])
        self.assertEqual({file[0][2] for file in found["files"]}, {"brain.Event:2"})
        self.check(found, "step", {"train/loss": "loss", "train/accuracy": "accuracy", "train/learning_rate": "lr", "train/grad_norm": "grad_norm",
                                   "train/clip_scale": "clip_scale", "train/images_per_second": "images_per_second"})
        self.check(found, "eval", {"test/loss": "test_loss", "test/accuracy": "test_accuracy"})
        times = [point[0] for point in found["scalars"]["train/loss"]]
        self.assertEqual(times, sorted(times))


if __name__ == "__main__":
    if not PYTHON:
        print("VGG11_TEST_TENSORBOARD names no python that has the package tensorboard: not run")
        sys.exit(NOT_RUN)
    unittest.main()
