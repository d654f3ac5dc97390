"""What --tensorboard writes, read by the description of the format alone."""
import glob
import json
import math
import os
import resource
import signal
import struct
import time
import unittest

import cli
from crc32c import crc32c

TAGS = {"train/loss": "loss", "train/accuracy": "accuracy", "train/learning_rate": "lr", "train/grad_norm": "grad_norm",
        "train/clip_scale": "clip_scale", "train/images_per_second": "images_per_second"}


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(path):
    """The data of each whole record; anything behind the last is torn."""
    with open(path, "rb") as file:
        data = file.read()
    at = 0
    while at + 12 <= len(data):
        length, check = struct.unpack_from("<QI", data, at)
        assert check == masked(data[at:at + 8]), "checksum of a length"
        if at + 16 + length > len(data):
            break
        body = data[at + 12:at + 12 + length]
        assert struct.unpack_from("<I", data, at + 12 + length)[0] == masked(body), "checksum of a record"
        yield body
        at += 16 + length


def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def fields(data):
    """(number, value) of each field of a protobuf message."""
    at, found = 0, []
    while at < len(data):
        key, at = varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 2:
            length, at = varint(data, at)
            value, at = data[at:at + length], at + length
        else:
            size = {1: 8, 5: 4}[kind]
            value, at = struct.unpack_from("<d" if kind == 1 else "<f", data, at)[0], at + size
        found.append((number, value))
    return found


def read_events(path):
    """Of each event its time, its step, and what it holds: a version, scalars by tag, or "restart"."""
    events = []
    for record in records(path):
        event = dict(fields(record))
        if 3 in event:
            content = event[3].decode()
        elif 7 in event:
            assert fields(event[7]) == [(1, 1)]
            content = "restart"
        else:
            values = [dict(fields(value)) for number, value in fields(event[5]) if number == 1]
            content = {value[1].decode(): value[2] for value in values}
        events.append((event[1], event[2], content))
    return events


class Events(cli.Case):
    def files(self, folder="curves"):
        return sorted(glob.glob(self.path(folder, "events.out.tfevents.*")))

    def check(self, path, lines):
        """Each step and evaluation of these lines of metrics.jsonl, in their order, and nothing else."""
        began, _, version = read_events(path)[0]
        self.assertEqual(version, "brain.Event:2")
        events = [event for event in read_events(path)[1:] if event[2] != "restart"]
        lines = [line for line in lines if line["event"] in ("step", "eval")]
        self.assertEqual([step for _, step, _ in events], [line["step"] for line in lines])
        times = [began] + [when for when, _, _ in events]
        self.assertEqual(times, sorted(times))
        for (_, _, scalars), line in zip(events, lines):
            names = TAGS if line["event"] == "step" else {"test/loss": "test_loss", "test/accuracy": "test_accuracy"}
            self.assertEqual(set(scalars), set(names))
            for tag, name in names.items():
                self.assertTrue(math.isclose(scalars[tag], line[name], rel_tol=2e-7), (tag, scalars[tag], line[name]))
        return times

    def test_a_run_and_how_it_goes_on(self):
        before = time.time()
        self.train("--output", "run", "--tensorboard", "curves", "--max-steps", "2")
        lines = cli.read_metrics(self.path("run"))
        times = self.check(self.files()[0], lines)
        self.assertTrue(before <= times[0] and times[-1] <= time.time())
        self.check_whose_it_is()
        outcome = self.run_program("--resume", "run", "--tensorboard", "curves", "--max-steps", "0", "--quiet")
        self.assertEqual((outcome.status, outcome.err), (0, ""))
        first, second = self.files()
        self.check(first, lines)
        self.check(second, cli.read_metrics(self.path("run"))[len(lines):])
        self.assertEqual([event[1:] for event in read_events(second)[:2]], [(0, "brain.Event:2"), (3, "restart")])
        self.assertIn("test/loss", read_events(second)[-1][2])

    def check_whose_it_is(self):
        """It is this call's: neither a checkpoint nor the config.json of a run says where to write."""
        with open(self.path("run", "config.json"), encoding="utf-8") as file:
            self.assertNotIn("tensorboard", json.load(file)["options"])
        with open(self.path("foreign.json"), "w", encoding="utf-8") as file:
            json.dump({"options": {"tensorboard": self.path("foreign")}}, file)
        outcome = self.train("--output", "other", "--config", "foreign.json", "--max-steps", "1", "--checkpoint-every", "0")
        self.assertIn("passed over: tensorboard", outcome.err)
        self.assertFalse(os.path.exists(self.path("foreign")))
        self.assertEqual(len(self.files()), 1)

    def long(self, *arguments):
        """Nothing but steps: no evaluation and no checkpoint comes for a while."""
        return self.start([cli.PROGRAM, "train", *cli.TINY, "--train-samples", "6400", "--batch-size", "2", "--checkpoint-every", "0",
                           "--output", "run", "--tensorboard", "curves", *arguments])

    def test_a_run_that_is_killed(self):
        process = self.long()
        self.wait_for_step(3, process)
        process.send_signal(signal.SIGKILL)
        self.finish(process)
        steps = [step for _, step, _ in read_events(self.files()[0])]
        self.assertEqual(steps, list(range(len(steps))))
        self.assertGreaterEqual(len(steps), 3)

    def test_a_disk_that_is_full(self):
        """Costs the curves and not the run; what there is of them is whole."""
        process = self.long("--max-steps", "12", "--quiet")
        self.wait_for_step(2, process)
        size = os.path.getsize(self.files()[0]) + 100
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, size))
        outcome = self.finish(process)
        self.assertEqual(outcome.status, 0, outcome.err)
        self.assertRegex(outcome.err, r"warning: --tensorboard curves/events\S+: \d+ events could not be written: File too large")
        events = read_events(self.files()[0])
        self.assertGreaterEqual(len(events), 2)
        self.assertLess(len(events), 13)
        self.assertLessEqual(os.path.getsize(self.files()[0]), size)
        self.assertEqual(sum(16 + len(record) for record in records(self.files()[0])), os.path.getsize(self.files()[0]))

    def test_validation(self):
        self.train("--output", "run", "--tensorboard", "curves", "--validation", "16", "--checkpoint-every", "0", "--quiet")
        self.assertEqual(set(read_events(self.files()[0])[-1][2]), {"validation/loss", "validation/accuracy"})

    def test_refused(self):
        with open(self.path("file"), "w", encoding="utf-8"):
            pass
        for folder in ["file", "nowhere/curves"]:
            self.assert_refused(5, f"--tensorboard {folder}", "train", *cli.TINY, "--quiet", "--output", "run", "--tensorboard", folder)
            self.assertFalse(os.path.exists(self.path("run", "config.json")))
            self.assertFalse(os.path.exists(self.path("nowhere")))


if __name__ == "__main__":
    unittest.main()
