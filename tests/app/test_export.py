"""Weights that leave the program and come back: what others read, what others compute with it, and runs that begin with it."""
import gzip
import json
import math
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

import cli

try:
    import h5py
    import numpy
    import weight_arrays
except ImportError as reason:
    print(f"skipped: {reason}")
    sys.exit(77)

SUFFIXES = {"weights": ".safetensors", "pytorch": ".safetensors", "keras": ".weights.h5"}
FORMATS = [name for name in SUFFIXES if name != "keras" or os.environ["VGG11_HDF5"] == "1"]
SMALL = ["--data", cli.DATA, "--train-samples", "16", "--test-samples", "8", "--batch-size", "16", "--epochs", "1", "--no-tune"]
IMAGES = 12


def square_images(count):
    """Test images with a margin of black that makes them 32x32, so that nothing is resized: an IDX file, and the pixels."""
    with gzip.open(os.path.join(cli.DATA, "t10k-images-idx3-ubyte.gz")) as file:
        pixels = numpy.frombuffer(file.read(16 + count * 784)[16:], "uint8").reshape(count, 28, 28)
    pixels = numpy.pad(pixels, ((0, 0), (2, 2), (2, 2)))
    return struct.pack(">IIII", 0x803, count, 32, 32) + pixels.tobytes(), pixels


class Case(cli.Case):
    """A training of two steps, and its last checkpoint in each format."""

    @classmethod
    def setUpClass(cls):
        cls.learnt = tempfile.mkdtemp(prefix="vgg11-cli-")
        cls.addClassCleanup(shutil.rmtree, cls.learnt)
        subprocess.run([cli.PROGRAM, "train", *SMALL, "--train-samples", "32", "--quiet", "--output", "run"], cwd=cls.learnt, check=True)
        cls.checkpoint = os.path.join(cls.learnt, "run", "checkpoint-00000002.safetensors")
        cls.files = {name: os.path.join(cls.learnt, name + SUFFIXES[name]) for name in FORMATS}
        cls.said = {}
        for name, path in cls.files.items():
            done = subprocess.run([cli.PROGRAM, "export", "--checkpoint", cls.checkpoint, "--format", name, path], capture_output=True,
                                  text=True, check=True)
            cls.said[name] = done.stderr

    def export(self, *arguments):
        return self.run_command([cli.PROGRAM, "export", "--quiet", *arguments])


class Export(Case):
    def test_bits(self):
        expected = weight_arrays.own_weights(self.checkpoint)
        for name, path in self.files.items():
            self.assertEqual(weight_arrays.differing(weight_arrays.READERS[name](path), expected), [], name)
            self.assertRegex(self.said[name], rf"^{path}: the weights of {self.checkpoint}, step 2, in format {name}, for pictures .*\n$")

    def test_logits(self):
        """NumPy computes what the program does, from the numbers that go with the weights."""
        header, arrays = weight_arrays.read_safetensors(self.files["pytorch"])
        facts = header["__metadata__"]
        idx, pixels = square_images(IMAGES)
        with open(self.path("images"), "wb") as file:
            file.write(idx)
        inputs = (pixels[:, None] / 255 - float(facts["pixel_mean"])) / float(facts["pixel_deviation"])
        expected = weight_arrays.log_softmax(weight_arrays.torch_logits(arrays, inputs))
        self.assertGreater(numpy.ptp(expected), 1, "all outputs are alike, and so this shows nothing")
        for path in [self.checkpoint, self.files["weights"]]:
            outcome = self.run_command([cli.PROGRAM, "predict", "--quiet", "--json", "--precision", "fp32", "--checkpoint", path, "images"])
            found = [[math.log(value) for value in one["probabilities"]] for one in json.loads(outcome.out)["predictions"]]
            self.assertEqual(len(found), IMAGES)
            self.assertLess(abs(numpy.array(found) - expected).max(), 1e-5 * max(1, abs(expected).max()))

    def test_weights_are_what_eval_reads_and_no_run_goes_on_from(self):
        command = [cli.PROGRAM, "eval", "--quiet", "--json", "--no-tune", "--data", cli.DATA, "--test-samples", "8", "--checkpoint"]
        results = [json.loads(self.run_command([*command, path]).out) for path in [self.checkpoint, self.files["weights"]]]
        for result in results:
            del result["checkpoint"]
        self.assertEqual(results[0], results[1])
        self.assertLess(os.path.getsize(self.files["weights"]), 0.51 * os.path.getsize(self.checkpoint))
        self.assert_refused(4, "holds weights alone, which a run can begin with", "train", "--resume", self.files["weights"], "--output",
                            self.path("run"))

    def test_refused(self):
        kept = self.path("kept.safetensors")
        shutil.copy(self.checkpoint, kept)
        ours = ["--checkpoint", self.checkpoint, "--format", "weights"]
        for status, pattern, arguments in [(2, "--format NAME is missing", [*ours[:2], "file"]), (2, "--checkpoint FILE is missing", ["file"]),
                                           (2, "export: expected FILE", ours), (2, "export takes|too many|FILE", [*ours, "a", "b"]),
                                           (2, "kept.safetensors: is a checkpoint", [*ours, kept]), (5, "no/such", [*ours, "no/such/file"]),
                                           (5, "is not a regular file", [*ours, "."]), (4, "nowhere", ["--checkpoint", "nowhere", *ours[2:], "a"]),
                                           (4, "pytorch.safetensors", ["--checkpoint", self.files["pytorch"], *ours[2:], "a"])]:
            with self.subTest(pattern=pattern):
                outcome = self.export(*arguments)
                self.assertEqual((outcome.status, len(outcome.lines)), (status, 1), outcome.err)
                self.assertRegex(outcome.lines[0], f"^vgg11_dist: .*{pattern}")
        self.assertTrue(cli.tensors(kept) == cli.tensors(self.checkpoint))
        self.assertEqual(os.listdir(self.folder), ["kept.safetensors"])

    def test_other_files_are_replaced(self):
        with open(self.path("a.h5"), "w", encoding="utf-8") as file:
            file.write("a note")
        os.symlink("a.h5", self.path("link"))
        outcome = self.export("--checkpoint", self.checkpoint, "--format", FORMATS[-1], "link")
        self.assertEqual(outcome.status, 0, outcome.err)
        self.assertFalse(os.path.islink(self.path("link")))
        self.assertEqual(os.path.getsize(self.path("a.h5")), 6)
        self.assertEqual(len(outcome.lines), FORMATS[-1] == "keras", outcome.err)


class Begin(Case):
    def begin(self, path, *arguments):
        """Of a step at a rate that is zero in single precision, so that the checkpoint has the initial weights."""
        outcome = self.run_program("train", *SMALL, "--lr", "1e-60", "--init-from", path, "--output", "begun", *arguments)
        self.assertEqual(outcome.status, 0, outcome.err)
        return outcome

    def test_the_same_bits_from_all_formats(self):
        expected = weight_arrays.own_weights(self.checkpoint)
        for name, path in [("weights", self.checkpoint), *self.files.items()]:
            with self.subTest(path=path):
                outcome = self.begin(path)
                self.assertIn(f"begins with the weights of {path} (format {name})", outcome.err)
                _, found = weight_arrays.read_safetensors(self.path("begun", "checkpoint-00000001.safetensors"))
                self.assertEqual(weight_arrays.differing(found, expected), [])
                self.assertEqual([name for name in weight_arrays.NAMES if found["velocity." + name].any()], [])
                self.assertEqual([event["step"] for event in cli.events(self.path("begun"), "step")], [1])
                with open(self.path("begun", "config.json"), encoding="utf-8") as file:
                    self.assertEqual(json.load(file)["options"]["init-from"], path)
                shutil.rmtree(self.path("begun"))

    def test_resume(self):
        """A run goes on with its own weights, wherever those that it began with have gone."""
        shutil.copy(self.files["weights"], self.path("first"))
        self.begin("first")
        os.remove(self.path("first"))
        self.assert_refused(2, "--init-from: a resumed run has its checkpoint's weights", "train", "--resume", "begun", "--init-from", "first")
        outcome = self.run_program("train", "--resume", "begun", "--epochs", "2")
        self.assertEqual(outcome.status, 0, outcome.err)
        outcome = self.run_program("train", *SMALL, "--lr", "1e-60", "--init-from", "first", "--resume=auto", "--output", "begun", "--epochs", "3")
        self.assertEqual(outcome.status, 0, outcome.err)
        self.assertEqual([event["step"] for event in cli.events(self.path("begun"), "step")], [1, 2, 3])

    def test_refused(self):
        header, _ = weight_arrays.read_safetensors(self.files["pytorch"])
        del header["classifier.6.bias"], header["__metadata__"]
        weight_arrays.write_safetensors(self.path("missing"), header, bytes(header["classifier.8.bias"]["data_offsets"][1]))
        with open(self.path("text"), "w", encoding="utf-8") as file:
            file.write("no weights, but words")
        for path, reason in [("missing", "missing: classifier.6.bias: tensor is missing"), ("text", "text: is neither a safetensors"),
                             ("nowhere", "nowhere: cannot open")]:
            with self.subTest(path=path):
                self.assert_refused(4, reason, "train", *SMALL, "--init-from", path, "--output", "begun", "--quiet")
                self.assertNotIn("metrics.jsonl", os.listdir(self.path("begun")))


class Hdf5(Case):
    @unittest.skipIf("keras" in FORMATS, "a build with HDF5")
    def test_a_build_without_says_so(self):
        outcome = self.export("--checkpoint", self.checkpoint, "--format", "keras", "a.weights.h5")
        self.assertEqual((outcome.status, len(outcome.lines)), (9, 1), outcome.err)
        self.assertIn("need HDF5, which this build lacks", outcome.lines[0])
        with h5py.File(self.path("b.weights.h5"), "w"):
            pass
        self.assert_refused(9, "need HDF5, which this build lacks", "train", *SMALL, "--init-from", "b.weights.h5", "--output", "run")


if __name__ == "__main__":
    unittest.main()
