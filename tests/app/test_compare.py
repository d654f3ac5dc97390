"""What compare says of two runs: whether all bits are the same, where they part, and what may be why."""
import json
import os
import shutil
import struct
import unittest

import cli
from checkpoint_edit import flip_bit

TRAIN = ["--max-steps", "4", "--checkpoint-steps", "2", "--keep", "0", "--threads", "1", "--quiet"]


class Compare(cli.Case):
    def compare(self, status, *arguments):
        """What it says on standard output, and its one line on standard error, as words for people."""
        outcome = self.run_command([cli.PROGRAM, "compare", *arguments])
        self.assertEqual(outcome.status, status, outcome.out + outcome.err)
        self.assertEqual(len(outcome.errors()), 0 if status == 0 else 1, outcome.err)
        return outcome

    def found(self, status, a, b):
        return json.loads(self.compare(status, "--json", a, b).out)

    def causes(self, found, *ways):
        return [difference["what"] for difference in found["differences"] if difference["explains"] in ways]


class Told(Compare):
    """Folders in which a test has written what runs would."""

    def write_run(self, name, lines, config=None, torn=""):
        os.makedirs(self.path(name), exist_ok=True)
        with open(self.path(name, "metrics.jsonl"), "w", encoding="utf-8") as file:
            file.write("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines) + torn)
        if config is not None:
            with open(self.path(name, "config.json"), "w", encoding="utf-8") as file:
                file.write(config if isinstance(config, str) else json.dumps(config))

    def steps(self, *numbers, **other):
        return [{"event": "step", "step": step, "samples": 16, "loss": 1 / step, "accuracy": 0.5, "grad_norm": 2.5, "clip_scale": 0.4,
                 "lr": 0.01, "step_s": step * 0.1, **other} for step in numbers]

    def evaluation(self, step, loss, **other):
        return {"event": "eval", "step": step, "test_loss": loss, "test_accuracy": 0.9, "eval_s": loss, **other}

    def difference(self, one, two):
        self.write_run("one", one)
        self.write_run("two", two)
        outcome = self.run_command([cli.PROGRAM, "compare", "--json", "one", "two"])
        metrics = json.loads(outcome.out)["metrics"]
        found = metrics["difference"]
        self.assertEqual(outcome.status, 10 if found else 0)
        return metrics["steps"], found and (found["step"], found["quantity"], [one["quantity"] for one in found["quantities"]])

    def test_the_first_quantity_of_the_first_step(self):
        """In the order of computing; times and rates count for nothing, nor does the way in which a number is written."""
        same = self.steps(1, 2, 3)
        self.assertEqual(self.difference(same, self.steps(1, 2, 3, step_s=9, images_per_second=7)), (3, None))
        for field in ["samples", "loss", "accuracy", "grad_norm", "clip_scale", "lr"]:
            other = self.steps(1) + self.steps(2, **{field: 0.123}) + self.steps(3, loss=9)
            self.assertEqual(self.difference(same, other), (3, (2, field, [field])))
        other = self.steps(1) + self.steps(2, lr=1, grad_norm=2.50000001, loss=0.5) + self.steps(3)
        self.assertEqual(self.difference(same, other), (3, (2, "grad_norm", ["grad_norm", "lr"])))
        self.assertEqual(self.difference(self.steps(1, loss=None), self.steps(1, loss=None)), (1, None))
        self.assertEqual(self.difference(self.steps(1, loss=0), self.steps(1, loss=0.0)), (1, None))
        self.assertEqual(self.difference(self.steps(1, loss=0.0), self.steps(1, loss=-0.0)), (1, (1, "loss", ["loss"])))

    def test_evaluations(self):
        """Those that both made; after the step that they follow, and before the next."""
        one = self.steps(1) + [self.evaluation(1, 0.5)] + self.steps(2) + [self.evaluation(2, 0.25)] + self.steps(3)
        two = self.steps(1, 2) + [self.evaluation(2, 0.125)] + self.steps(3, loss=7)
        self.assertEqual(self.difference(one, two), (3, (2, "test_loss", ["test_loss"])))
        self.assertEqual(self.difference(one, self.steps(1, 2, 3)), (3, None))

    def test_steps_that_were_taken_again(self):
        """The last time counts, as when it had been the only one; a step that changed nothing is another than one that did."""
        back = {"event": "rollback", "step": 1, "from_step": 3}
        self.assertEqual(self.difference(self.steps(1, 2, 3), self.steps(1) + self.steps(2, 3, loss=8) + [back] + self.steps(2, 3)), (3, None))
        self.assertEqual(self.difference(self.steps(1, 2, 3), self.steps(1) + self.steps(2, 3, loss=8) + [back]), (1, None))
        bad = {**self.steps(2)[0], "event": "skip"}
        self.assertEqual(self.difference(self.steps(1, 2), self.steps(1) + [bad]), (2, (2, "skipped", ["skipped"])))

    def test_what_is_no_line_is_passed_over(self):
        junk = ["", "[1]", "null", "\x01\x02", '{"event":"step"}', '{"event":"step","step":-4}', '{"event":7,"step":2}', '{"event":"step","step":"2"}']
        self.write_run("one", self.steps(1) + junk + self.steps(2))
        self.write_run("two", self.steps(1, 2), torn='{"event":"step","step":3,"loss":1')
        found = self.found(0, "one", "two")
        self.assertEqual(found["metrics"], {"steps": 2, "first_step": 1, "last_step": 2, "difference": None})

    def test_reasons_by_likelihood(self):
        """Nothing here is of a real run, but each name is one that config.json has."""
        said = {"processor": "X", "build": "aa", "libraries": {"OpenBLAS": "1", "zlib": "1", "oneDNN": None}, "hosts": "a", "nodes": 1}
        one = {"ranks": 1, "threads": 1, "exchange": "allreduce (one rank: nothing to exchange)", "algorithms": "conv1:a/-/b fc1:c/c/c",
               "provenance": said, "options": {"seed": 1, "lr": 0.1, "keep": 3, "micro-batches": 0, "test-samples": 5}}
        two = {"ranks": 2, "threads": 2, "exchange": "node (timed)", "algorithms": "conv1:a/-/d fc1:c/c/c",
               "provenance": {**said, "processor": "Y", "build": "bb", "hosts": "b", "libraries": {"OpenBLAS": "2", "zlib": "2", "oneDNN": "3"}},
               "options": {"seed": 1, "lr": 0.2, "keep": 4, "micro-batches": 0, "test-samples": 6}}
        self.write_run("one", self.steps(1), one)
        self.write_run("two", self.steps(1, loss=2), two)
        found = self.found(10, "one", "two")
        self.assertEqual(self.causes(found, "certainly"), ["option lr", "ranks", "algorithm of conv1, weight gradient"])
        self.assertEqual(self.causes(found, "possibly"), ["processor", "threads", "exchange", "build", "library OpenBLAS", "library oneDNN"])
        self.assertEqual(self.causes(found, "no"), ["option test-samples", "option keep", "library zlib", "hosts"])
        self.check_other_ways(one, two)

    def check_other_ways(self, one, two):
        for config in [one, two]:
            config["options"]["micro-batches"] = 4
        summary = {"run": {key: one[key] for key in ["ranks", "threads", "exchange"]}, "config": one["options"], "provenance": one["provenance"]}
        os.unlink(self.path("one", "config.json"))
        with open(self.path("one", "summary.json"), "w", encoding="utf-8") as file:
            json.dump(summary, file)
        self.write_run("two", self.steps(1), two)
        self.write_run("one", self.steps(1) + [self.evaluation(1, 2)])
        self.write_run("two", self.steps(1) + [self.evaluation(1, 3)])
        found = self.found(10, "one", "two")
        self.assertEqual(self.causes(found, "certainly"), ["option test-samples", "option lr"])
        self.assertLess({"ranks", "exchange"}, set(self.causes(found, "no")))
        self.assertIn({"what": "algorithm of conv1, forward", "a": "not recorded", "b": "a", "explains": "possibly"}, found["differences"])

    def test_ranks_of_the_step_that_differs(self):
        """A run that went on with other ranks: config.json tells of the last of its processes alone."""
        config = {"ranks": 1, "threads": 1, "options": {}}

        def start(step, ranks):
            return {"event": "start", "step": step, "ranks": ranks, "threads": 1, "exchange": "node (named)", "algorithms": ""}
        for loss, what in [(9, [{"what": "ranks", "a": "2", "b": "1", "explains": "certainly"}]), (1, [])]:
            self.write_run("one", [start(0, 2)] + self.steps(1, loss=loss) + [start(1, 1)] + self.steps(2, loss=8), config)
            self.write_run("two", [start(0, 1)] + self.steps(1, 2), config)
            found = self.found(10, "one", "two")
            self.assertEqual((found["metrics"]["difference"]["step"], found["differences"]), (1 if what else 2, what))

    def test_hostile_records(self):
        """Whatever a folder's files hold, it is said in lines that a terminal takes for text."""
        self.write_run("one", self.steps(1), {"options": {"lr": "\x1b[2J\n", "\x1b[31m": 1, "n" * 500: 2, "deep": [[[]]]}, "ranks": "many"})
        hostile = ["[" * 100000, "{}", "", "[]", '"x"', '{"options":[1],"provenance":7,"algorithms":"conv1","exchange":"(","ranks":null}',
                   json.dumps({"algorithms": "a" * 300 + ":b/c/d : :: /// x:y", "exchange": "overlap; buckets of "}), " " * (2 << 20), "\xff"]
        for config in hostile:
            with self.subTest(config=config[:40]):
                self.write_run("two", self.steps(1, loss=3), config)
                outcome = self.compare(10, "one", "two")
                self.assertIn("metrics: 1 step in both", outcome.out)
                self.assertFalse(set(map(ord, outcome.out + outcome.err)) & (set(range(32)) - {10} | {127}))

    def test_refused(self):
        self.write_run("one", self.steps(1))
        self.write_run("later", self.steps(5, 6))
        os.mkdir(self.path("empty"))
        os.mkfifo(self.path("pipe"))
        os.symlink("nowhere", self.path("broken"))
        for name, make in [("with-pipe", os.mkfifo), ("with-folder", os.mkdir)]:
            os.mkdir(self.path(name))
            make(self.path(name, "metrics.jsonl"))
        with open(self.path("text"), "w", encoding="utf-8") as file:
            file.write("no checkpoint")
        os.mkdir(self.path("odd"))
        for name in ["checkpoint-00000004.safetensors", "checkpoint-4.safetensors"]:
            shutil.copy(self.path("text"), self.path("odd", name))
        ways = [(2, "compare: expected A B", ["one"]), (2, "compare takes A B", ["one", "one", "one"]), (2, "--lr", ["one", "one", "--lr", "1"]),
                (2, "one line of UTF-8", ["one", ""]), (5, "nowhere: cannot be opened: No such file", ["one", "nowhere"]),
                (5, "broken: cannot be opened", ["broken", "one"]), (4, "empty: holds neither", ["one", "empty"]),
                (4, "text: has 13 bytes|text: not a checkpoint", ["text", "one"]), (4, "pipe: is not a regular file", ["one", "pipe"]),
                (5, "with-pipe/metrics.jsonl: is not a regular file", ["with-pipe", "one"]),
                (5, "with-folder/metrics.jsonl", ["one", "with-folder"]), (4, "no step and no checkpoint in common", ["one", "later"]),
                (4, "no step and no checkpoint in common", ["one", "odd"])]
        for status, pattern, arguments in ways:
            with self.subTest(arguments=arguments):
                outcome = self.compare(status, *arguments)
                self.assertEqual((outcome.out, len(outcome.lines)), ("", 1), outcome.err)
                self.assertRegex(outcome.lines[0], pattern)
        outcome = self.run_command(cli.launch(["compare", "one", "one"], 2))
        self.assertEqual((outcome.status, outcome.out), (2, ""), outcome.err)
        self.assertRegex(outcome.errors()[0], "compare: looks as one rank, and 2 were started")

    def test_help(self):
        outcome = self.compare(0, "--help")
        self.assertIn("Usage: vgg11_dist compare [OPTION...] A B\n", outcome.out)
        self.assertIn("compare a difference", outcome.out)


class Trained(Compare):
    def train_as(self, name, *arguments, ranks=1):
        outcome = self.run_command(cli.launch(["train", *cli.TINY, *TRAIN, "--output", name, *arguments], ranks))
        self.assertEqual(outcome.status, 0, outcome.err)

    def test_same_bits(self):
        for name in ["one", "two"]:
            self.train_as(name)
        found = self.found(0, "one", "two")
        self.assertFalse(found["differs"])
        self.assertEqual((found["metrics"]["steps"], found["checkpoints"]["compared"], found["differences"]), (4, 2, []))
        self.check_resumed()
        self.check_longer()
        self.check_checkpoints()
        self.check_one_bit()

    def check_resumed(self):
        """A run that was stopped and went on, named by a link."""
        self.train_as("parts", "--max-steps", "2")
        outcome = self.run_command([cli.PROGRAM, "--quiet", "--resume", "parts", "--max-steps", "0", "--threads", "1"])
        self.assertEqual(outcome.status, 0, outcome.err)
        os.symlink("parts", self.path("link"))
        found = self.found(0, "one", "link")
        self.assertEqual((found["metrics"]["steps"], found["checkpoints"]["compared"]), (4, 2))
        self.assertEqual([difference["what"] for difference in found["differences"]], ["option max-steps"])

    def check_longer(self):
        """The steps and checkpoints that both have are compared; of a run that was killed, the last line may be torn."""
        shutil.copytree(self.path("two"), self.path("killed"))
        os.unlink(self.path("killed", cli.checkpoints(self.path("killed"))[-1]))
        os.unlink(self.path("killed", "summary.json"))
        with open(self.path("killed", "metrics.jsonl"), encoding="utf-8") as file:
            lines = file.read().split('{"event":"step","step":4')
        with open(self.path("killed", "metrics.jsonl"), "w", encoding="utf-8") as file:
            file.write(lines[0] + '{"event":"step","step":4,"loss":')
        outcome = self.compare(0, "one", "killed")
        self.assertIn("metrics: 3 steps in both, 1 to 3; A has 1 more; all the same\n", outcome.out)
        self.assertIn("checkpoints: 1 compared, the last of step 2; all weights and velocity the same\n", outcome.out)

    def check_checkpoints(self):
        """Files with files and with folders, whatever their steps."""
        early, late = ("one/" + name for name in cli.checkpoints(self.path("one")))
        self.assertEqual(self.found(0, early, "two")["checkpoints"], {"compared": 1, "passed_over": 0, "difference": None})
        self.assertEqual(self.found(0, "two", early)["b"]["kind"], "checkpoint")
        found = self.found(10, early, late)
        self.assertEqual((found["checkpoints"]["difference"]["step"], found["checkpoints"]["difference"]["step_b"]), (2, 4))
        self.assertEqual(self.causes(found, "certainly"), ["step"])
        outcome = self.compare(4, late, "killed")
        self.assertEqual((outcome.out, len(outcome.lines)), ("", 1))
        self.assertIn("killed: has no checkpoint of step 4", outcome.err)

    def check_one_bit(self):
        """In one number, the last of the two checkpoints; then one that is damaged."""
        early, late = cli.checkpoints(self.path("two"))
        before = struct.unpack_from("<f", cli.tensors(self.path("two", late))["velocity.conv1.kernel"], 4 * 321)[0]
        after = flip_bit(self.path("two", late), "velocity.conv1.kernel", 321, 20)
        found = self.found(10, "one", "two")
        self.assertEqual((found["metrics"]["difference"], found["checkpoints"]["compared"]), (None, 2))
        seen = found["checkpoints"]["difference"]
        self.assertEqual((seen["step"], seen["weights"]), (4, None))
        velocity = seen["velocity"]
        self.assertEqual([velocity[key] for key in ["tensors", "tensor", "numbers", "unlike", "index"]],
                         [1, "velocity.conv1.kernel", 576, 1, 321])
        for key, value in [("a", before), ("b", after), ("largest", abs(after - before))]:
            self.assertAlmostEqual(velocity[key], value, delta=1e-7 * abs(value))
        outcome = self.compare(10, "one", "two")
        self.assertIn("   weights: the same\n   velocity: 1 of 24 tensors differ, first velocity.conv1.kernel: 1 of 576 numbers", outcome.out)
        self.assertIn("nothing that is recorded explains it", outcome.out)
        self.assertIn("compare: the bits differ, first in velocity.conv1.kernel of step 4", outcome.err)
        flip_bit(self.path("two", early), "conv1.bias", 63, 0)
        flip_bit(self.path("two", early), "conv8.bias", 0, 31)
        seen = self.found(10, "two", "one")["checkpoints"]["difference"]
        self.assertEqual((seen["step"], seen["velocity"]), (2, None))
        self.assertEqual([seen["weights"][key] for key in ["tensors", "tensor", "index"]], [2, "conv1.bias", 63])
        self.check_damaged(early)

    def check_damaged(self, name):
        """Without its checksums; the other files are compared all the same, and nobody is told that all is the same."""
        with open(self.path("two", name), "r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"\x7f")
        outcome = self.compare(10, "one", "two")
        self.assertRegex(outcome.err, f"warning: passed over: two/{name}: .* does not match its checksum")
        shutil.copyfile(self.path("one", cli.checkpoints(self.path("one"))[1]), self.path("two", cli.checkpoints(self.path("two"))[1]))
        outcome = self.compare(4, "one", "two")
        self.assertRegex(outcome.errors()[0], f"two/{name}: .* does not match its checksum")
        self.assertEqual(self.compare(4, "one", "two/" + name).out, "")

    def test_another_seed(self):
        short = ["--max-steps", "1", "--checkpoint-every", "0", "--checkpoint-steps", "0"]
        self.train_as("one", *short)
        self.train_as("two", *short, "--seed", "2", "--check-every", "1")
        found = self.found(10, "one", "two")
        difference = found["metrics"]["difference"]
        self.assertEqual((difference["step"], difference["quantity"]), (1, "loss"))
        written = [{**cli.events(self.path(run), "eval")[0], **cli.events(self.path(run), "step")[0]} for run in ["one", "two"]]
        for one in difference["quantities"]:
            self.assertEqual([one["a"], one["b"]], [line[one["quantity"]] for line in written])
        self.assertEqual(found["differences"][0], {"what": "option seed", "a": "1", "b": "2", "explains": "certainly"})
        self.assertEqual(self.causes(found, "no"), ["option check-every"])
        outcome = self.compare(10, "one", "two")
        self.assertRegex(outcome.err, "compare: the bits differ, first in the loss of step 1; option seed: 1 and 2")

    def test_another_number_of_ranks(self):
        """Shows, unless micro-batches fix the order of sums."""
        short = ["--max-steps", "2"]
        for name, ranks, micro in [("one", 1, "0"), ("two", 2, "0"), ("fixed", 1, "2"), ("fixed-on-two", 2, "2")]:
            self.train_as(name, *short, "--micro-batches", micro, ranks=ranks)
        found = self.found(0, "fixed", "fixed-on-two")
        self.assertEqual(found["checkpoints"]["compared"], 1)
        self.assertIn("ranks", self.causes(found, "no"))
        found = self.found(10, "one", "two")
        self.assertIn("ranks", self.causes(found, "certainly"))
        self.assertIn("exchange", self.causes(found, "possibly"))
        self.assertEqual(set(self.causes(found, "no")), {"hosts"} & set(self.causes(found, "no")))


if __name__ == "__main__":
    unittest.main()
