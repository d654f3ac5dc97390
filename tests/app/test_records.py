"""What a run keeps, and what a run that goes on makes of it: files that stay as they are until it is sure to go on, options that are not
repeated, what is left aside when it goes back, and sums over all of its processes."""
import hashlib
import json
import os
import re
import unittest

import cli

STEPS = 4  # in an epoch of cli.TINY


def load(*names):
    with open(os.path.join(*names), encoding="utf-8") as file:
        return json.load(file)


def digest(path):
    with open(path, "rb") as file:
        return hashlib.blake2b(file.read()).hexdigest()


def contents(folder):
    """What is in each file, and when it was written."""
    found = {}
    for place, _, names in os.walk(folder):
        for path in [os.path.join(place, name) for name in names]:
            found[os.path.relpath(path, folder)] = (os.stat(path).st_mtime_ns, digest(path))
    return found


def flip_last_byte(path):
    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([byte ^ 1]))


class Records(cli.Case):
    def checkpoint(self, step, run="run"):
        return self.path(run, f"checkpoint-{step:08d}.safetensors")

    def steps(self, *folder):
        return [step["step"] for step in cli.events(self.path(*folder), "step")]

    def go_on(self, *arguments):
        """Without any of the options that began the run."""
        outcome = self.run_program(*arguments)
        self.assertEqual(outcome.status, 0, outcome.err)
        return outcome


class Refused(Records):
    """Whatever a run that is to go on fails from before its first step, nothing of the run has changed."""

    def setUp(self):
        super().setUp()
        self.train("--output", "run", "--checkpoint-steps", "1", "--max-steps", "2")

    def check(self, ways):
        before = contents(self.path("run"))
        self.assertIn("metrics.jsonl", before)
        for status, pattern, options in ways:
            with self.subTest(options=options):
                self.assert_refused(status, pattern, "train", *cli.TINY, "--quiet", *options)
                self.assertEqual(contents(self.path("run")), before)

    def test_what_does_not_fit(self):
        data = cli.write_data(self.path("bad"), train_images=cli.idx_images(20, magic=0x804))
        goes_on = ["--resume", "--output", "run"]
        self.check([(4, "batch-size=16.* batch-size=8", [*goes_on, "--batch-size", "8"]),
                    (4, "batch-size=16.* batch-size=8", ["--resume", self.checkpoint(1), "--batch-size", "8"]),
                    (4, "seed=1 .* seed=2", ["--resume", "run", "--seed", "2"]),
                    (3, "train-images-idx3-ubyte", [*goes_on, "--data", data]),
                    (2, "99999", [*goes_on, "--train-samples", "99999"]),
                    (9, "abacus", [*goes_on, "--conv", "abacus"]),
                    (5, "trace.json", [*goes_on, "--trace", "nowhere/trace.json"]),
                    (2, "another run", ["--output", "run"])])

    def test_what_is_damaged(self):
        flip_last_byte(self.checkpoint(1))
        self.check([(4, "does not match its checksum", ["--resume", self.checkpoint(1)])])
        flip_last_byte(self.checkpoint(2))
        self.check([(4, "no usable checkpoint", ["--resume", "run"]), (4, "no usable checkpoint", ["--resume=auto", "--output", "run"])])


class Options(Records):
    recipe = ["--lr", "0.0123", "--momentum", "0.5", "--no-nesterov", "--weight-decay", "0.001", "--clip-norm", "0.5", "--init", "glorot",
              "--schedule-steps", "6", "--warmup-steps", "2", "--epochs", "2", "--keep", "0", "--seed", "3",
              "--clip-mode", "tensor", "--normalize", "unit", "--replay-every", "2"]

    def test_the_training_is_the_checkpoints(self):
        self.train(*self.recipe, "--output", "whole")
        self.train(*self.recipe, "--output", "run", "--max-steps", "3")
        outcome = self.go_on("--resume", "run")
        self.assertNotIn("otherwise than before", outcome.err)
        self.assertNotIn("same bits", outcome.err)
        self.assertEqual(self.steps("run"), list(range(1, 2 * STEPS + 1)))
        ends = [cli.tensors(self.checkpoint(2 * STEPS, run)) for run in ["whole", "run"]]
        self.assertEqual(ends[0], ends[1])
        self.assertEqual(cli.checkpoints(self.path("run")), [os.path.basename(self.checkpoint(step)) for step in [3, 4, 8]])
        whole, run = (load(self.path(run, "config.json"))["options"] for run in ["whole", "run"])
        self.assertEqual(whole, run)
        self.assertEqual(run["replay-every"], 2)
        self.complete()

    def complete(self):
        """Then nothing is left to do, and nothing is done."""
        before = contents(self.path("run"))
        for options in [[], ["--epochs", "1"], ["--max-steps", "5"]]:
            outcome = self.go_on("--resume", "run", *options)
            self.assertEqual(len(re.findall("(?m)^nothing to do: ", outcome.err)), 1, outcome.err)
            self.assertNotRegex(outcome.err, "(?m)^(epoch|done)")
            self.assertEqual(contents(self.path("run")), before)

    def test_what_is_named_wins(self):
        self.train("--output", "run", "--max-steps", "2", "--lr", "0.5", "--keep", "7")
        outcome = self.go_on("train", "--resume=run", "--lr", "0.25", "--keep", "7", "--epochs", "3", "--max-steps", "3")
        lines = [line for line in outcome.lines if "otherwise than before" in line]
        self.assertEqual(lines, ["goes on otherwise than before: --epochs 3 (was 1), --lr 0.25 (was 0.5)"])
        options = load(self.path("run", "config.json"))["options"]
        self.assertEqual((options["lr"], options["epochs"], options["keep"], options["batch-size"]), (0.25, 3, 7, 16))
        with open(self.path("run.conf"), "w", encoding="utf-8") as file:
            file.write("lr = 0.125\nresume = run\n")
        outcome = self.go_on("--config", "run.conf", "--max-steps", "4")
        self.assertIn("goes on otherwise than before: --lr 0.125 (was 0.25)", outcome.err)
        self.assertEqual(load(self.path("run", "config.json"))["options"]["epochs"], 3)


class Foreign(Records):
    def test_a_runs_own_file_says_not_where_files_are(self):
        options = {"data": cli.DATA, "train-samples": 16, "test-samples": 10, "batch-size": 16, "epochs": 1, "no-tune": True,
                   "checkpoint-every": 0}
        places = {"trace": self.path("trace"), "output": self.path("output"), "plan-cache": self.path("cache.tsv")}
        with open(self.path("config.json"), "w", encoding="utf-8") as file:
            json.dump({"options": {**options, **places}}, file)
        outcome = self.go_on("--config", "config.json", "--quiet")
        said = [line for line in outcome.lines if "passed over" in line]
        self.assertEqual(len(said), 1, outcome.err)
        self.assertRegex(said[0], "^vgg11_dist: warning: config.json: .*passed over: trace, output, plan-cache$")
        self.assertEqual([name for name in places.values() if os.path.exists(name)], [])
        self.assertEqual(len(os.listdir(self.path("runs"))), 1)
        with open(self.path("own.conf"), "w", encoding="utf-8") as file:
            file.writelines(f"{name} = {str(value).lower() if value is True else value}\n" for name, value in {**options, **places}.items())
        outcome = self.go_on("--config", "own.conf", "--quiet")
        self.assertNotIn("passed over", outcome.err)
        self.assertTrue(os.path.exists(self.path("trace")))
        self.assertTrue(os.path.exists(self.path("output", "metrics.jsonl")))


class Back(Records):
    """Going on from an older checkpoint leaves what comes after it, and is not undone by going on later."""

    def test_another_rate_from_an_older_checkpoint(self):
        self.train("--output", "run", "--checkpoint-steps", "1", "--keep", "0")
        before = contents(self.path("run"))
        outcome = self.go_on("--resume", self.checkpoint(2), "--lr", "0.001", "--keep", "1", "--max-steps", "3")
        self.assertEqual(cli.checkpoints(self.path("run")), [os.path.basename(self.checkpoint(step)) for step in [2, 3]])
        self.assertEqual(self.steps("run"), [1, 2, 3])
        left = os.listdir(self.path("run", "abandoned"))
        self.assertEqual(len(left), 1)
        self.assertRegex(outcome.err, rf"(?m)^what the run folder had of steps after 2 is set aside in .*/abandoned/{left[0]}$")
        self.check_aside(before, os.path.join("abandoned", left[0]))
        kept = contents(self.path("run", "abandoned"))
        self.go_on_later(contents(self.path("run"))["checkpoint-00000002.safetensors"])
        self.assertEqual(contents(self.path("run", "abandoned")), kept)

    def check_aside(self, before, aside):
        now = contents(self.path("run"))
        names = {name: os.path.join(aside, name) for name in sorted(before)
                 if name in ["checkpoint-00000003.safetensors", "checkpoint-00000004.safetensors", "best.safetensors"]}
        self.assertEqual(len(names), 3)
        for name, moved in names.items():
            self.assertEqual(now[moved], before[name], name)
        self.assertEqual(self.steps("run", aside), [3, 4])
        self.assertEqual(now["checkpoint-00000002.safetensors"], before["checkpoint-00000002.safetensors"])

    def go_on_later(self, named):
        """The newest of the new line is taken, with its rate, and what was named is spared in all processes to come."""
        self.go_on("--resume=auto", "--output", "run")
        self.assertEqual(cli.events(self.path("run"), "start")[-1]["step"], 3)
        self.assertEqual(load(self.path("run", "config.json"))["options"]["lr"], 0.001)
        self.assertEqual(self.steps("run"), [1, 2, 3, 4])
        self.assertEqual(cli.checkpoints(self.path("run")), [os.path.basename(self.checkpoint(step)) for step in [2, 4]])
        self.assertEqual(contents(self.path("run"))["checkpoint-00000002.safetensors"], named)

    def test_nothing_is_left_where_nothing_comes_after(self):
        self.train("--output", "run", "--max-steps", "2")
        self.go_on("--resume", "run")
        self.assertNotIn("abandoned", os.listdir(self.path("run")))


class Schedule(Records):
    def first_rate(self, *options):
        outcome = self.train("--lr", "0.5", "--checkpoint-every", "0", "--max-steps", "1", "--output", "run" + "".join(options), *options)
        return cli.events(self.path("run" + "".join(options)), "step")[0]["lr"], outcome.err

    def test_warm_up_is_shorter_than_the_run(self):
        """One epoch is of four steps, five are of twenty."""
        self.assertEqual(self.first_rate()[0], 0.5)
        self.assertEqual(self.first_rate("--epochs", "5")[0], 0.25)
        rate, said = self.first_rate("--warmup-steps", "5")
        self.assertEqual(rate, 0.1)
        self.assertRegex(said, r"(?m)^vgg11_dist: warning: --warmup-steps 5 is longer than the schedule of 4 steps")
        self.assertNotIn("longer than the schedule", self.first_rate("--warmup-steps", "4")[1])


class Threads(Records):
    def test_openmps_own_number_is_the_default(self):
        def found(*options):
            ranks = json.loads(self.go_on("info", "--json", *options).out)["ranks"]
            return {(rank["threads"], rank["threads_from"]) for rank in ranks}
        share = found()
        self.assertEqual({source for _, source in share}, {"its share of the cores"})
        for text, expected in [("1", 1), ("3", 3), ("5,2", 5)]:
            self.environment["OMP_NUM_THREADS"] = text
            self.assertEqual(found(), {(expected, "OMP_NUM_THREADS")})
            self.assertEqual(found("--threads", "2"), {(2, "--threads")})
        for text in ["", "0", "-1", "many", "2x", "99999999999999999999"]:
            self.environment["OMP_NUM_THREADS"] = text
            self.assertEqual(found(), share, text)
        self.environment["OMP_NUM_THREADS"] = "3"
        self.assertIn("threads of rank 0: 3, by OMP_NUM_THREADS", self.go_on("info").out)
        self.assertIn("$OMP_NUM_THREADS", self.go_on("info", "--help").out)


class Summary(Records):
    def test_it_is_of_the_whole_run(self):
        self.train("--output", "run", "--max-steps", "2")
        first = load(self.path("run", "summary.json"))
        self.go_on("--resume", "run")
        whole = load(self.path("run", "summary.json"))
        steps, ends = (cli.events(self.path("run"), kind) for kind in ["step", "end"])
        self.assertEqual((first["images"], first["processes"], first["evaluations"]), (32, 1, 1))
        self.assertEqual((whole["images"], whole["processes"], whole["evaluations"], whole["step"]), (64, 2, 2, 4))
        self.assertAlmostEqual(whole["step_s"], sum(step["step_s"] for step in steps) / 4, places=6)
        self.assertAlmostEqual(whole["exchange_s"], sum(step["exchange_s"] for step in steps) / 4, places=6)
        self.assertAlmostEqual(whole["wall_s"], sum(end["wall_s"] for end in ends), places=6)
        self.assertAlmostEqual(whole["images_per_second"], 64 / whole["train_s"], places=3)


if __name__ == "__main__":
    unittest.main()
