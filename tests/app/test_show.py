"""What show prints of images: enough to see which are blank, turned or wrongly labelled."""
import gzip
import os
import re
import struct
import unittest
import zlib

import cli

SIDE, CELL, GAP, COLUMNS = 32, 34, 2, 16


def read_grey_png(path):
    """Rows of bytes of an 8-bit grey picture, each filter of PNG undone (RFC 2083, section 6)."""
    with open(path, "rb") as file:
        data = file.read()
    at, packed, size = 8, b"", None
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + length]
        size = struct.unpack(">IIBB", body[:10]) if kind == b"IHDR" else size
        packed += body if kind == b"IDAT" else b""
        at += 12 + length
    width, height, depth, colour = size
    assert (depth, colour) == (8, 0)
    raw, rows, above = zlib.decompress(packed), [], bytes(width)
    for y in range(height):
        line = bytearray(raw[y * (width + 1):(y + 1) * (width + 1)])
        row = bytearray(width)
        for x in range(width):
            left, up, corner = row[x - 1] if x else 0, above[x], above[x - 1] if x else 0
            nearest = min((left, up, corner), key=lambda value: abs(left + up - corner - value))
            row[x] = (line[x + 1] + [0, left, up, (left + up) // 2, nearest][line[0]]) % 256
        rows.append(bytes(row))
        above = row
    return rows


def images_with(labels):
    """A data set in which each image is a left half as light as its place says, and the right half black."""
    pixels = b"".join(bytes([80 + i] * 14 + [0] * 14) * 28 for i in range(len(labels)))
    return {"train_images": struct.pack(">IIII", 0x803, len(labels), 28, 28) + pixels, "train_labels": cli.idx_labels(labels)}


class Show(cli.Case):
    def show(self, *arguments):
        outcome = self.run_command([cli.PROGRAM, "show", "--quiet", *arguments])
        self.assertEqual((outcome.status, outcome.err), (0, ""))
        return outcome.out.splitlines()

    def captions(self, lines):
        return re.findall(r"(\d+) of (\d+): label (\d)(, BLANK)?", "\n".join(lines))

    def test_first_last_and_between(self):
        with gzip.open(os.path.join(cli.DATA, "train-labels-idx1-ubyte.gz")) as file:
            labels = file.read(8 + 100)[8:]
        lines = self.show("--data", cli.DATA, "--train-samples", "100")
        self.assertEqual(self.captions(lines), [(str(i), "100", str(labels[i - 1]), "") for i in [1, 34, 67, 100]])
        self.assertEqual(len(lines), 1 + 2 * (1 + 2 + SIDE // 2))
        self.assertEqual({len(line) for line in lines if line[0] in "|+"}, {2 * (SIDE + 2) + 2})

    def test_the_mistake_is_plain_to_see(self):
        for arguments in [["--resize-bug"], ["--preset", "question-bug"]]:
            lines = self.show("--data", cli.DATA, *arguments)
            self.assertEqual([blank for *_, blank in self.captions(lines)], ["", ", BLANK", ", BLANK", ""])
            self.assertEqual([set(line[35:69]) - set("|+- ") for line in lines[2:18]], [set()] * 16)
            self.assertTrue(any("@" in line[:35] for line in lines[2:18]))

    def test_lighter_is_denser(self):
        data = cli.write_data(self.path("data"), **images_with([3, 1, 4, 1, 5]))
        lines = self.show("--data", data, "--resize", "nearest", "--normalize", "none")
        self.assertEqual(lines[0], "of 5 training images, nearest to 32x32; black becomes 0, white 255 (--normalize none)")
        self.assertEqual(self.captions(lines), [("1", "5", "3", ""), ("2", "5", "1", ""), ("3", "5", "4", ""), ("5", "5", "5", "")])
        for line in lines[3:19]:
            self.assertEqual(line, "|" + "-" * 16 + " " * 16 + "|  |" + "-" * 16 + " " * 16 + "|")

    def test_two_pixels_a_character(self):
        """Ramps of grey from black to white, each second row of the left half black."""
        rows = b"".join((bytes(16) if y % 2 else bytes(x * 17 for x in range(16))) + bytes(x * 17 for x in range(16)) for y in range(32))
        data = cli.write_data(self.path("data"), train_images=struct.pack(">IIII", 0x803, 1, 32, 32) + rows, train_labels=cli.idx_labels([3]))
        self.assertEqual(self.show("--data", data)[3:19], ["|  ...::::---===+ ..::-==++*##%%@|"] * 16)

    def test_few_images(self):
        for count in [1, 2, 3]:
            data = cli.write_data(self.path(f"data{count}"), **images_with(list(range(count))))
            self.assertEqual([int(number) for number, *_ in self.captions(self.show("--data", data))], list(range(1, count + 1)))

    def test_sheet(self):
        labels = [i % 10 for i in range(60)] + [7] * 37
        data = cli.write_data(self.path("data"), **images_with(labels))
        self.show("--data", data, "--resize", "nearest", "--png", "sheet.png")
        rows = read_grey_png(self.path("sheet.png"))
        self.assertEqual((len(rows), len(rows[0])), (10 * CELL + GAP, COLUMNS * CELL + GAP))
        places = [[rows[GAP + k * CELL][GAP + c * CELL] - 80 for c in range(COLUMNS)] for k in range(10)]
        grey = rows[0][0] - 80
        for label in range(10):
            of_label = [i for i, one in enumerate(labels) if one == label]
            if len(of_label) > COLUMNS:
                of_label = [of_label[c * (len(of_label) - 1) // (COLUMNS - 1)] for c in range(COLUMNS)]
            self.assertEqual(places[label], of_label + [grey] * (COLUMNS - len(of_label)))
        self.assertEqual(rows[GAP][GAP:GAP + SIDE + 1], bytes([80] * 16 + [0] * 16 + [grey + 80]))

    def test_refused(self):
        for status, pattern, arguments in [(2, "show takes options alone", ["more"]), (5, "no/such/sheet.png", ["--png", "no/such/sheet.png"]),
                                           (3, "nowhere", ["--data", "nowhere"])]:
            with self.subTest(arguments=arguments):
                outcome = self.run_command([cli.PROGRAM, "show", "--quiet", "--train-samples", "10", *arguments])
                self.assertEqual((outcome.status, len(outcome.lines)), (status, 1), outcome.err)
                self.assertRegex(outcome.lines[0], pattern)
        self.assertFalse(os.path.exists(self.path("no")))


if __name__ == "__main__":
    unittest.main()
