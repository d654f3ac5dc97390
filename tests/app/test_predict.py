"""What a checkpoint says of pictures: the same of an image however it is stored, and what eval counts."""
import gzip
import json
import math
import os
import shutil
import struct
import subprocess
import tempfile
import unittest
import zlib

import cli

SIDE, IMAGES = 28, 24
# Few steps, but enough to tell some digits from others; and none that is not needed.
LEARN = ["train", "--data", cli.DATA, "--train-samples", "1024", "--test-samples", "100", "--batch-size", "16", "--epochs", "1", "--no-tune",
         "--quiet", "--output", "run"]
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(rows, depth=8, colour=GREY, width=None, extra=b""):
    """A PNG file of rows of bytes as they are stored, without a filter."""
    width = len(rows[0]) if width is None else width
    header = struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def rows_of(image):
    return [image[i * SIDE:(i + 1) * SIDE] for i in range(SIDE)]


def each(rows, change):
    return [b"".join(change(pixel) for pixel in row) for row in rows]


def forms(image):
    """The same picture in each way that PNG has."""
    rows = rows_of(image)
    palette = bytes(value for i in range(256) for value in [255 - i] * 3)
    return {"grey": png(rows),
            "inverted": png(each(rows, lambda p: bytes([255 - p]))),
            "16-bit": png(each(rows, lambda p: bytes([p, p])), 16, GREY, SIDE),
            "rgb": png(each(rows, lambda p: bytes([p] * 3)), 8, RGB, SIDE),
            "palette": png(each(rows, lambda p: bytes([255 - p])), 8, PALETTE, SIDE, chunk(b"PLTE", palette)),
            "rgba": png(each(rows, lambda p: bytes([p] * 3 + [255])), 8, RGBA, SIDE),
            "white ink on nothing": png(each(rows, lambda p: bytes([255, p])), 8, GREY_ALPHA, SIDE),
            "black ink on nothing": png(each(rows, lambda p: bytes([0, 0, 0, p])), 8, RGBA, SIDE)}


class Predict(cli.Case):
    learn = LEARN

    @classmethod
    def setUpClass(cls):
        cls.learnt = tempfile.mkdtemp(prefix="vgg11-cli-")
        cls.addClassCleanup(shutil.rmtree, cls.learnt)
        subprocess.run([cli.PROGRAM, *cls.learn], cwd=cls.learnt, check=True)
        cls.checkpoint = os.path.join(cls.learnt, "run", "best.safetensors")
        with gzip.open(os.path.join(cli.DATA, "t10k-images-idx3-ubyte.gz")) as file:
            data = file.read(16 + IMAGES * SIDE * SIDE)[16:]
        cls.images = [data[i * SIDE * SIDE:(i + 1) * SIDE * SIDE] for i in range(IMAGES)]
        cls.idx = struct.pack(">IIII", 0x803, IMAGES, SIDE, SIDE) + data

    def write(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)
        return name

    def ask(self, *arguments):
        return self.run_command([cli.PROGRAM, "predict", "--checkpoint", self.checkpoint, *arguments])

    def answers(self, *arguments):
        outcome = self.ask("--json", *arguments)
        self.assertEqual(outcome.status, 0, outcome.err)
        found = json.loads(outcome.out)
        self.assertEqual(found["errors"], [])
        for one in found["predictions"]:
            self.assertEqual(len(one["probabilities"]), 10)
            self.assertAlmostEqual(sum(one["probabilities"]), 1, places=6)
            self.assertEqual(max(one["probabilities"]), one["probabilities"][one["digit"]])
        return found["predictions"]

    def assert_alike(self, one, other):
        self.assertEqual(one["digit"], other["digit"])
        for mine, theirs in zip(one["probabilities"], other["probabilities"]):
            self.assertAlmostEqual(mine, theirs, places=4)  # other places in a batch may round elsewhere


class Pictures(Predict):
    def test_all_forms_of_an_image_are_alike(self):
        from_idx = self.answers(self.write("images", self.idx))
        self.assertEqual([one["index"] for one in from_idx], list(range(IMAGES)))
        self.assertGreater(len({one["digit"] for one in from_idx}), 3, "it has learnt nothing, and so this shows nothing")
        names, files = [], []
        for i, image in enumerate(self.images[:6]):
            for form, data in forms(image).items():
                names.append((i, form))
                files.append(self.write(f"{i} {form}.png", data))
        for (i, form), file, one in zip(names, files, self.answers(*files)):
            with self.subTest(image=i, form=form):
                self.assertEqual((one["file"], one["rows"], one["columns"]), (file, SIDE, SIDE))
                self.assertEqual(one["inverted"], form in ["inverted", "black ink on nothing"])
                self.assert_alike(one, from_idx[i])

    def test_other_sizes(self):
        """Large ones by way of MNIST's own size, and those that are not square by more of their ground on two sides."""
        image = self.images[0]
        rows = rows_of(image)
        large = [row for row in each(rows, lambda p: bytes([255 - p] * 40)) for _ in range(40)]
        wide = [bytes([255 - 0] * 60) + row + bytes([255] * 60) for row in large]
        narrow = [row[SIDE // 2 - 10:SIDE // 2 + 10] for row in rows]
        files = [self.write("a.png", png(rows)), self.write("large.png", png(large)), self.write("wide.png", png(wide)),
                 self.write("narrow.png", png(narrow))]
        plain, large, wide, narrow = self.answers(*files)
        self.assertEqual((large["rows"], large["squared"], large["inverted"]), (SIDE * 40, False, True))
        self.assertEqual((wide["columns"], wide["squared"], wide["inverted"]), (SIDE * 40 + 120, True, True))
        self.assertEqual((narrow["columns"], narrow["squared"], narrow["inverted"]), (20, True, False))
        self.assert_alike(narrow, plain)
        for other in [large, wide]:
            self.assertEqual(other["digit"], plain["digit"])

    def test_text(self):
        name = self.write("a \033[1mname.png", forms(self.images[0])["inverted"])
        outcome = self.ask(name, self.write("blank.png", png([bytes(20)] * 10)))
        self.assertEqual(outcome.status, 0, outcome.err)
        first, second = outcome.out.splitlines()
        self.assertRegex(first, r"^a \?\[1mname\.png: \d  \d+\.\d\d %, then \d  \d+\.\d\d %  \(inverted\)$")
        self.assertRegex(second, r"^blank\.png: .*  \(blank: all pixels are the same; 20x10 made a square\)$")
        self.assertRegex(outcome.lines[0], r"best\.safetensors, step \d+: pictures become 32x32 \(bilinear\), and digits light on dark ground$")

    def test_what_eval_counts(self):
        with gzip.open(os.path.join(cli.DATA, "t10k-labels-idx1-ubyte.gz")) as file:
            labels = file.read(8 + 100)[8:]
        images = os.path.join(cli.DATA, "t10k-images-idx3-ubyte.gz")
        answers = self.answers("--test-samples", "100", images)
        outcome = self.run_command([cli.PROGRAM, "eval", "--json", "--no-tune", "--data", cli.DATA, "--test-samples", "100", "--checkpoint",
                                    self.checkpoint])
        found = json.loads(outcome.out)
        right = sum(one["digit"] == label for one, label in zip(answers, labels))
        loss = sum(-math.log(one["probabilities"][label]) for one, label in zip(answers, labels))
        self.assertEqual(len(answers), 100)
        self.assertAlmostEqual(found["test_accuracy"], right / 100, places=9)
        self.assertAlmostEqual(found["test_loss"], loss / 100, places=4)


class Refused(Predict):
    learn = [*LEARN, "--max-steps", "1"]

    def test_files_that_are_none(self):
        good = png(rows_of(self.images[0]))
        bad_sum = bytearray(good)
        bad_sum[good.index(b"IDAT") + 20] ^= 1
        huge = png([b"\0"], width=1)[:16] + struct.pack(">II", 100000, 100000)
        huge += b"\x08\0\0\0\0"
        huge += struct.pack(">I", zlib.crc32(huge[12:])) + good[33:]
        none_at_all = "neither a PNG picture nor an IDX file"
        for name, data, reason in [("cut.png", good[:-60], "not a sound PNG file"), ("header.png", good[:20], "not a sound PNG file"),
                                   ("sum.png", bytes(bad_sum), "not a sound PNG file"), ("huge.png", huge, "100000 x 100000"),
                                   ("text.png", b"no picture\n", none_at_all), ("a.jpg", b"\xff\xd8\xff\xe0", none_at_all),
                                   ("empty.png", b"", "ends after 0 bytes"), ("cut-idx", self.idx[:-5], "its header announces"),
                                   ("labels", cli.idx_labels([1, 2]), "holds labels")]:
            with self.subTest(name=name):
                outcome = self.ask("--quiet", self.write(name, data))
                self.assertEqual((outcome.status, outcome.out, len(outcome.lines)), (3, "", 1), outcome.err)
                self.assertRegex(outcome.lines[0], f"^vgg11_dist: {name}: .*{reason}")
        for name in ["nowhere.png", self.folder, "/dev/null"]:
            with self.subTest(name=name):
                outcome = self.ask("--quiet", name)
                self.assertEqual((outcome.status, len(outcome.lines)), (3, 1), outcome.err)

    def test_the_others_are_read(self):
        good = self.write("good.png", png(rows_of(self.images[0])))
        gone, text = "gone.png", self.write("text.png", b"no picture")
        outcome = self.ask("--json", good, gone, text, good)
        self.assertEqual(outcome.status, 3)
        found = json.loads(outcome.out)
        self.assertEqual([one["file"] for one in found["predictions"]], [good, good])
        self.assertEqual([one["file"] for one in found["errors"]], [gone, text])
        self.assertEqual([len([line for line in outcome.lines if name in line]) for name in [gone, text]], [1, 1], outcome.err)
        self.assertRegex(outcome.lines[-1], f"^vgg11_dist: {gone}: ")

    def test_words(self):
        command = [cli.PROGRAM, "predict", "--quiet"]
        for arguments, status, reason in [(["--checkpoint", self.checkpoint], 2, "predict: expected FILE..."),
                                          (["a.png"], 2, "--checkpoint FILE is missing"),
                                          (["--checkpoint", "nowhere", "a.png"], 4, "nowhere"),
                                          (["--checkpoint", self.checkpoint, "a\nb"], 2, "one line of UTF-8")]:
            with self.subTest(arguments=arguments):
                outcome = self.run_command(command + arguments)
                self.assertEqual((outcome.status, len(outcome.lines)), (status, 1), outcome.err)
                self.assertIn(reason, outcome.lines[0])
        outcome = self.run_command([cli.MPIRUN, "--quiet", "--oversubscribe", "-np", "2", *command, "--checkpoint", self.checkpoint, "a.png"])
        self.assertEqual((outcome.status, len(outcome.errors())), (2, 1), outcome.err)
        self.assertIn("works as one rank, and 2 were started", outcome.errors()[0])


if __name__ == "__main__":
    unittest.main()
