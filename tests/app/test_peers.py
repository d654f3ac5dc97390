"""The networks of docs/weights.md in PyTorch and in Keras: they compute what this program does, and runs begin with what they save."""
import json
import os
import re
import shutil
import subprocess
import sys
import unittest

import test_export

import cli
import numpy
import weight_arrays

IMAGES = 1000
GUIDE = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, os.pardir, "docs", "weights.md")
FILES = {"torch": ("pytorch", "vgg11.safetensors", "mine.safetensors"), "keras": ("keras", "vgg11.weights.h5", "mine.weights.h5")}
# Behind the guide's own lines: logits of the inputs, as (images, 32, 32), and the weights once more.
COMPUTE = {"torch": """
import numpy, torch
from safetensors.torch import save_file
with torch.no_grad():
    logits = model(torch.from_numpy(numpy.load("inputs.npy"))[:, None]).numpy()
numpy.save("logits.npy", logits)
save_file(model.state_dict(), "mine.safetensors")
""", "keras": """
import numpy
model.layers[-1].activation = keras.activations.linear
logits = numpy.concatenate([keras.ops.convert_to_numpy(model(part[..., None])) for part in numpy.split(numpy.load("inputs.npy"), 10)])
numpy.save("logits.npy", logits)
model.save_weights("mine.weights.h5")
"""}


class Peer(test_export.Case):
    name = None

    def setUp(self):
        self.python = os.environ.get(f"VGG11_PEER_{self.name.upper()}")
        super().setUp()

    def guide(self):
        with open(GUIDE, encoding="utf-8") as file:
            blocks = [block for block in re.findall(r"```python\n(.*?)```", file.read(), re.DOTALL) if f"import {self.name}" in block
                      or f"from {self.name} " in block]
        self.assertEqual(len(blocks), 1)
        return blocks[0]

    def compute(self, inputs):
        numpy.save(self.path("inputs.npy"), inputs)
        with open(self.path("peer.py"), "w", encoding="utf-8") as file:
            file.write(self.guide() + COMPUTE[self.name])
        done = subprocess.run([self.python, "peer.py"], cwd=self.folder, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return numpy.load(self.path("logits.npy")).astype(numpy.float64)

    def ours(self):
        outcome = self.run_command([cli.PROGRAM, "predict", "--quiet", "--json", "--checkpoint", self.checkpoint, "images"])
        self.assertEqual(outcome.status, 0, outcome.err)
        return numpy.log([one["probabilities"] for one in json.loads(outcome.out)["predictions"]])

    def compare(self):
        idx, pixels = test_export.square_images(IMAGES)
        with open(self.path("images"), "wb") as file:
            file.write(idx)
        facts = weight_arrays.read_safetensors(self.files["pytorch"])[0]["__metadata__"]
        inputs = ((pixels / 255 - float(facts["pixel_mean"])) / float(facts["pixel_deviation"])).astype(numpy.float32)
        logits, ours = self.compute(inputs), self.ours()
        theirs = weight_arrays.log_softmax(logits)
        self.assertEqual(theirs.shape, (IMAGES, 10))
        worst = abs(theirs - ours).max()
        print(f"{self.name}: largest difference {worst:.2e}, of logits of up to {abs(logits).max():.3g}")
        self.assertLess(worst, 1e-5 * max(1, abs(logits).max()))

    def check(self):
        if not self.python:
            self.skipTest(f"VGG11_PEER_{self.name.upper()} names no interpreter")
        form, exported, saved = FILES[self.name]
        shutil.copy(self.files[form], self.path(exported))
        self.compare()
        outcome = self.run_command([cli.PROGRAM, "train", *test_export.SMALL, "--lr", "1e-60", "--init-from", saved, "--output", "begun"])
        self.assertEqual(outcome.status, 0, outcome.err)
        expected, found = (weight_arrays.own_weights(path) for path in
                           [self.checkpoint, self.path("begun", "checkpoint-00000001.safetensors")])
        self.assertEqual(weight_arrays.differing(found, expected), [])


class Torch(Peer):
    name = "torch"

    def test_torch(self):
        self.check()


class Keras(Peer):
    name = "keras"

    @unittest.skipUnless("keras" in test_export.FORMATS, "a build without HDF5")
    def test_keras(self):
        self.check()


if __name__ == "__main__":
    if not any(os.environ.get(f"VGG11_PEER_{name.upper()}") for name in FILES):
        print("skipped: neither VGG11_PEER_TORCH nor VGG11_PEER_KERAS names an interpreter")
        sys.exit(77)
    unittest.main()
