"""What the doctor says first of data sets and options with a fault planted in them, and that it says nothing of sound ones."""
import gzip
import json
import os
import random
import re
import struct
import unittest

import cli

TRAIN, TEST, SIDE = 3000, 1000, 28
TINY = ["--train-samples", str(TRAIN), "--test-samples", str(TEST)]


def read_idx(name, header_bytes, item_bytes, count):
    with gzip.open(os.path.join(cli.DATA, name + ".gz")) as file:
        data = file.read(header_bytes + count * item_bytes)[header_bytes:]
    return [data[i * item_bytes:(i + 1) * item_bytes] for i in range(count)]


def transposed(image):
    return b"".join(image[column::SIDE] for column in range(SIDE))


def inverted(image):
    return bytes(255 - pixel for pixel in image)


class Doctor(cli.Case):
    @classmethod
    def setUpClass(cls):
        cls.digits = {}
        for split, name, count in [("train", "train", TRAIN), ("test", "t10k", TEST)]:
            cls.digits[split + "_images"] = read_idx(name + "-images-idx3-ubyte", 16, SIDE * SIDE, count)
            cls.digits[split + "_labels"] = read_idx(name + "-labels-idx1-ubyte", 8, 1, count)

    def write(self, **replaced):
        """The digits, of which `replaced` gives a function for train_images, train_labels, ..., as a folder of its own."""
        files = {}
        for key, items in self.digits.items():
            items = replaced.get(key, list)(list(items))
            header = struct.pack(">IIII", 0x803, len(items), SIDE, SIDE) if key.endswith("images") else struct.pack(">II", 0x801, len(items))
            files[key] = header + b"".join(items)
        return cli.write_data(self.path(f"data{len(os.listdir(self.folder))}"), **files)

    def diagnose(self, *arguments):
        outcome = self.run_command([cli.PROGRAM, "doctor", "--json", *arguments])
        self.assertIn(outcome.status, [0, 10], outcome.err)
        findings = json.loads(outcome.out)["findings"]
        self.assertEqual(outcome.status, 10 if findings else 0)
        self.assertEqual(len([line for line in outcome.errors() if "found" in line]), 1 if findings else 0, outcome.err)
        return findings

    def assert_first(self, name, *arguments):
        findings = self.diagnose(*arguments)
        self.assertEqual([finding["name"] for finding in findings[:1]], [name])
        return findings[0]


class Data(Doctor):
    def test_the_question(self):
        first = self.assert_first("blank-images", "--preset", "question-bug")
        self.assertEqual(first["what"], "5,998 of 6,000 training images are blank; only the first and the last were resized")
        self.assertIn("--resize-bug", first["change"])

    def test_sound_data(self):
        self.assertEqual(self.diagnose("--data", self.write()), [])

    def test_images(self):
        constant = lambda items: [bytes([77]) * SIDE * SIDE] * len(items)
        for name, replaced in [("blank-images", {"train_images": constant}), ("blank-test-images", {"test_images": constant}),
                               ("identical-images", {"train_images": lambda items: [items[5]] * len(items)})]:
            with self.subTest(name=name, replaced=list(replaced)):
                self.assert_first(name, "--data", self.write(**replaced))

    def test_sets_that_are_unlike(self):
        for name, change in [("inverted-images", inverted), ("turned-images", transposed)]:
            for key in ["train_images", "test_images"]:
                with self.subTest(name=name, key=key):
                    self.assert_first(name, "--data", self.write(**{key: lambda items, change=change: [change(item) for item in items]}))

    def test_labels(self):
        shuffled = lambda items: random.Random(1).sample(items, len(items))
        later = lambda items: items[:1] + items[:-1]
        for name, replaced in [("unrelated-labels", {"train_labels": shuffled}), ("shifted-labels", {"train_labels": later}),
                               ("unrelated-test-labels", {"test_labels": shuffled}), ("shifted-test-labels", {"test_labels": later}),
                               ("skewed-classes", {"train_labels": lambda items: [b"\3"] * len(items)})]:
            with self.subTest(name=name):
                self.assert_first(name, "--data", self.write(**replaced))

    def test_sorted_samples_and_test_images_that_are_trained_on(self):
        """That the images are left in their order is what makes it a fault: certain, so that no steps are tried."""
        labels = self.digits["train_labels"]
        order = sorted(range(len(labels)), key=lambda i: labels[i])
        by_class = lambda items: [items[i] for i in order]
        copied = {key: lambda items, key=key: self.digits[key.replace("test", "train")][:len(items)] for key in ["test_images", "test_labels"]}
        findings = self.diagnose("--no-shuffle", "--data", self.write(train_images=by_class, train_labels=by_class, **copied))
        self.assertEqual([finding["name"] for finding in findings], ["sorted-samples", "test-images-in-training"])

    def test_inputs_that_are_not_normalised(self):
        self.assert_first("unnormalised-inputs", *TINY, "--normalize", "none")


class Steps(Doctor):
    """Each of these takes steps with the real network, at many rates."""

    def test_start_and_steps(self):
        for name, arguments in [("vanishing-signal", ["--preset", "question", "--normalize", "unit"]), ("rate-too-small", ["--lr", "0.0005"]),
                                ("rate-too-large", ["--lr", "5"]), ("clip-too-small", ["--clip-norm", "0.001"]),
                                ("momentum", ["--momentum", "0.999"])]:
            with self.subTest(name=name):
                self.assert_first(name, *arguments, *TINY)

    def test_sound_trainings(self):
        for arguments in [["--seed", "2"], ["--seed", "3", "--resize", "pad"], ["--normalize", "unit"],
                          ["--preset", "question", "--init", "he", "--normalize", "standard", "--lr", "0.01"],
                          ["--train-samples", "10", "--test-samples", "10"]]:
            with self.subTest(arguments=arguments):
                self.assertEqual(self.diagnose(*TINY, *arguments), [])


class Sound(Doctor):
    """Data sets as they are, with the default options: VGG11_TEST_SOUND names their folders, with colons between, VGG11_TEST_SEEDS is the
    number of seeds, each with other weights and other images."""
    FOLDERS = os.environ.get("VGG11_TEST_SOUND", ":".join(filter(os.path.isdir, [cli.DATA, "/usr/share/datasets/fashion-mnist"]))).split(":")
    SEEDS = int(os.environ.get("VGG11_TEST_SEEDS", "2"))

    def test_nothing_is_found(self):
        for folder in self.FOLDERS:
            for seed in range(1, self.SEEDS + 1):
                with self.subTest(folder=folder, seed=seed):
                    self.assertEqual(self.diagnose("--data", folder, "--seed", str(seed)), [])
            print(f"{folder}: {self.SEEDS} seeds", flush=True)


class Pictures(Doctor):
    BAR = r"[# ]{24}"

    def test_what_was_measured(self):
        outcome = self.run_command([cli.PROGRAM, "doctor", *TINY, "--batch-size", "32", "--lr", "0.05", "--plot", self.path("plots")])
        self.assertEqual(outcome.status, 0, outcome.err)
        self.assertTrue(outcome.out.startswith("nothing found\n"))
        layers = re.findall(rf"(?m)^(conv\d|fc\d) +([\d.e-]+) {self.BAR} +([\d.e-]+) {self.BAR}$", outcome.out)
        self.assertEqual([name for name, _, _ in layers], [f"conv{i}" for i in range(1, 9)] + [f"fc{i}" for i in range(1, 5)])
        rates = re.findall(rf"(?m)^ {{10}}([\d.e-]+) +[\d.]+ -> (?:[\d.]+ +{self.BAR}|ran away in step \d+)$", outcome.out)
        self.assertEqual([float(rate) for rate in rates], [1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1])
        self.assertRegex(outcome.out, r"(?m)^as asked  0\.05 +[\d.]+ -> ")
        self.assertRegex(outcome.out, r"(?m)^the same batch by heart: loss 0\.0\d+ after \d+ steps at 0\.01$")
        self.assertEqual(sorted(os.listdir(self.path("plots"))), ["layers.png", "rates.png"])
        for name in os.listdir(self.path("plots")):
            with open(self.path("plots", name), "rb") as file:
                data = file.read()
            self.assertEqual((data[:8], struct.unpack(">II", data[16:24])), (b"\x89PNG\r\n\x1a\n", (900, 480)))

    def test_no_pictures(self):
        """Without gnuplot, or where there can be no folder."""
        programs = self.path("programs")
        os.mkdir(programs)
        for folder in os.environ["PATH"].split(os.pathsep):
            for name in os.listdir(folder) if os.path.isdir(folder) else []:
                if "gnuplot" not in name and not os.path.lexists(os.path.join(programs, name)):
                    os.symlink(os.path.join(folder, name), os.path.join(programs, name))
        command = [cli.PROGRAM, "doctor", "--json", "--train-samples", "10", "--test-samples", "10", "--plot"]
        outcome = self.run_command(["/usr/bin/env", "PATH=" + programs, *command, self.path("plots")])
        self.assertEqual(outcome.status, 0, outcome.err)
        self.assertEqual(len([line for line in outcome.lines if "no pictures: gnuplot" in line]), 1, outcome.err)
        measures = json.loads(outcome.out)["measures"]
        self.assertEqual([len(measures["start"][name]) for name in ["activation", "silent", "gradient"]], [12] * 3)
        self.assertEqual([len(trial["losses"]) for trial in measures["rates"][:4]], [10] * 4)
        self.assertTrue(measures["by_heart"]["learned"])
        outcome = self.run_command([*command, os.path.join(self.path("plots"), "no", "such")])
        self.assertEqual((outcome.status, len(outcome.errors())), (5, 1), outcome.err)


class Words(Doctor):
    def test_text(self):
        outcome = self.run_command([cli.PROGRAM, "doctor", "--preset", "question-bug"])
        self.assertEqual(outcome.status, 10, outcome.err)
        self.assertRegex(outcome.out, r"^1\. 5,998 of 6,000 training images are blank; .*\(certain, blank-images\)\n   seen: .*\n   change: ")
        self.assertEqual(len(outcome.errors()), 1, outcome.err)
        self.assertRegex(outcome.errors()[0], "^vgg11_dist: doctor: [0-9]+ found, blank-images first: 5,998 of 6,000")

    def test_training_begins_with_the_first(self):
        blank = ("vgg11_dist: warning: 5,998 of 6,000 training images are blank; only the first and the last were resized; "
                 "vgg11_dist doctor, with the same options, says more")
        raw = ("vgg11_dist: warning: the network's inputs are not normalised: they are raw bytes, or as large; "
               "vgg11_dist doctor, with the same options, says more")
        for preset, pixels, ranks, expected in [("question", "unit", 1, []), ("question", "none", 1, [raw]),
                                                ("question-bug", "unit", 1, [blank]), ("question-bug", "unit", 2, [blank])]:
            command = cli.launch(["train", "--preset", preset, "--test-samples", "10", "--max-steps", "1", "--no-tune", "--normalize",
                                  pixels, "--quiet", "--checkpoint-every", "0", "--output", f"{preset}-{pixels}-{ranks}"], ranks)
            outcome = self.run_command(command)
            self.assertEqual(outcome.status, 0, outcome.err)
            self.assertEqual([line for line in outcome.lines if "vgg11_dist doctor" in line], expected)

    def plateaus(self, ranks, *arguments):
        command = cli.launch(["train", "--test-samples", "10", "--no-tune", "--quiet", "--checkpoint-every", "0", *arguments], ranks)
        outcome = self.run_command(command)
        self.assertEqual(outcome.status, 0, outcome.err)
        return [line for line in outcome.lines if "of guessing" in line]

    def test_a_loss_that_stands_is_told_once(self):
        question = ["--preset", "question", "--normalize", "unit", "--train-samples", "512", "--batch-size", "4", "--max-steps", "51"]
        said = self.plateaus(2, *question)
        self.assertEqual(len(said), 1)
        self.assertRegex(said[0], r"^vgg11_dist: warning: the loss stands at 2\.\d+, .* for 50 steps until step 50: .*vgg11_dist doctor")

    def test_a_loss_that_falls_is_not(self):
        self.assertEqual(self.plateaus(1, "--train-samples", "1000", "--batch-size", "16", "--epochs", "1"), [])

    def test_several_ranks_are_refused(self):
        command = [cli.MPIRUN, "--quiet", "--oversubscribe", "-np", "2", cli.PROGRAM, "doctor"]
        outcome = self.run_command(command)
        self.assertEqual(outcome.status, 2, outcome.err)
        self.assertEqual(len(outcome.errors()), 1, outcome.err)
        self.assertRegex(outcome.errors()[0], "doctor: looks as one rank, and 2 were started")


if __name__ == "__main__":
    unittest.main()
