"""Memory that runs out, at each allocation in turn: in starting, in one step, in saving, in resuming, in evaluating, in comparing. Each
time it is said that memory ran out, in one line and with status 9, or the program does without; never is the option, the data or the disk
blamed."""
import json
import os
import shutil
import unittest

import cli
import report_pages as pages

PROGRAM = os.environ["VGG11_DIST_FAILING"]
STRIDE = int(os.environ.get("VGG11_TEST_STRIDE", "12"))  # every so many; 1 tries all, and takes a quarter of an hour
SHORT = ["--data", cli.DATA, "--quiet", "--no-tune", "--threads", "1"]
TRAIN = ["train", *SHORT, "--train-samples", "8", "--test-samples", "8", "--batch-size", "8", "--epochs", "1", "--output", "run"]


class Memory(cli.Case):
    def setUp(self):
        super().setUp()
        self.environment["OMPI_MCA_ess_singleton_isolated"] = "1"  # no daemon for a rank alone
        with open(self.path("run.conf"), "w", encoding="utf-8") as file:
            file.write('{"lr": 0.02, "init": "glorot"}\n')

    def run_failing(self, arguments, number="0"):
        self.environment["VGG11_FAIL_ALLOCATION"] = number
        return self.run_command([PROGRAM, *arguments])

    def allocations(self, arguments):
        """Numbers of those to try: the first of each chain of the program's calls, since those that follow differ in a count."""
        self.environment["VGG11_ALLOCATIONS"] = self.path("allocations")
        outcome = self.run_failing(arguments)
        del self.environment["VGG11_ALLOCATIONS"]
        self.assertEqual(outcome.status, 0, outcome.err)
        chains = {}
        with open(self.path("allocations"), encoding="utf-8") as file:
            for line in file:
                number, function, chain = line.split()
                chains.setdefault((function, chain), int(number))
        os.remove(self.path("allocations"))
        numbers = sorted(chains.values())
        self.assertGreater(len(numbers), 10)
        return numbers[::STRIDE]

    def check(self, number, outcome, after):
        self.assertIn(outcome.status, [0, 9], outcome.err)
        if outcome.status == 9:
            self.assertEqual(len(outcome.errors()), 1, outcome.err)
            self.assertRegex(outcome.errors()[0], "^vgg11_dist: .*memory|Cannot allocate memory")
        else:
            self.assertEqual(outcome.errors(), [], outcome.err)
        after(number, outcome)

    def walk(self, arguments, before, after):
        """`before` makes what the run finds, `after` looks at what it leaves."""
        before()
        for i, number in enumerate(self.allocations(arguments)):
            for asked in [str(number)] + [f"{number}-"] * (i % 8 == 0):
                with self.subTest(allocation=asked):
                    before()
                    self.check(number, self.run_failing(arguments, asked), after)

    def check_run(self, number, outcome, step):
        """Nothing half written, and of what succeeded, all."""
        names = os.listdir(self.path("run")) if os.path.isdir(self.path("run")) else []
        self.assertEqual([name for name in names if name.startswith(".")], [], number)
        if outcome.status == 0:
            self.assertIn(f"checkpoint-{step:08d}.safetensors", names)

    def train_once(self):
        outcome = self.run_command([PROGRAM, *TRAIN])
        self.assertEqual(outcome.status, 0, outcome.err)
        os.rename(self.path("run"), self.path("before"))


class Start(Memory):
    def test_options_a_step_and_a_checkpoint(self):
        self.walk([*TRAIN, "--config", "run.conf", "--trace", "trace.json", "--replay-every", "1"], lambda: shutil.rmtree(self.path("run"), ignore_errors=True),
                  lambda number, outcome: self.check_run(number, outcome, 1))


class Resume(Memory):
    """Never from an older checkpoint than there is, and the lines of the steps before stay."""

    def restore(self):
        shutil.rmtree(self.path("run"), ignore_errors=True)
        os.mkdir(self.path("run"))
        for name in os.listdir(self.path("before")):
            if name.endswith(".safetensors"):
                os.link(self.path("before", name), self.path("run", name))
        shutil.copy(self.path("before", "metrics.jsonl"), self.path("run"))

    def check_resumed(self, number, outcome):
        self.check_run(number, outcome, 2)
        self.assertEqual(cli.events(self.path("run"), "step")[0]["step"], 1)

    def test_resume(self):
        self.train_once()
        self.walk([*TRAIN, "--epochs", "2", "--resume"], self.restore, self.check_resumed)


class Evaluate(Memory):
    def check_output(self, number, outcome):
        if outcome.status == 0:
            self.assertEqual(sum(map(sum, json.loads(outcome.out)["confusion"])), 8)

    def test_evaluate(self):
        self.train_once()
        self.walk(["eval", *SHORT, "--test-samples", "8", "--json", "--checkpoint", "before/checkpoint-00000001.safetensors"],
                  lambda: None, self.check_output)

    def test_predict(self):
        self.train_once()
        self.walk(["predict", "--quiet", "--threads", "1", "--test-samples", "40", "--json", "--checkpoint", "before/checkpoint-00000001.safetensors",
                   os.path.join(cli.DATA, "t10k-images-idx3-ubyte.gz")], lambda: None,
                  lambda number, outcome: self.assertTrue(outcome.status or len(json.loads(outcome.out)["predictions"]) == 40))

    def test_report(self):
        """The page is whole, or is not there."""
        lines = pages.whole_run(12, 4)
        lines.insert(4, pages.start(2, 12, 4))
        pages.write_run(self.path("caf\u00e9"), lines, config={"options": {"clip-norm": 1}, "exchange": "\u00e9"}, summary={"status": 0})
        arguments = ["report", "--quiet", "caf\u00e9"]
        page = self.path("caf\u00e9", "report.html")
        self.assertEqual(self.run_failing(arguments).status, 0)
        with open(page, "rb") as file:
            whole = file.read()

        def check(number, outcome):
            self.assertEqual(os.path.exists(page), outcome.status == 0, number)
            if outcome.status == 0:
                with open(page, "rb") as file:
                    self.assertEqual(file.read(), whole, number)
        self.walk(arguments, lambda: os.path.exists(page) and os.remove(page), check)

    def test_export(self):
        self.train_once()
        self.walk(["export", "--quiet", "--format", "pytorch", "--checkpoint", "before/checkpoint-00000001.safetensors", "weights"], lambda: None,
                  lambda number, outcome: self.assertEqual([name for name in os.listdir(self.folder) if name.startswith(".")], [], number))

    def test_info(self):
        self.walk(["info", "--json"], lambda: None,
                  lambda number, outcome: self.assertTrue(outcome.status or json.loads(outcome.out)["libraries"]["OpenBLAS"]))


class Ranks(Memory):
    """On one rank alone: the others hear of it, and none waits for it for ever."""

    def run_failing(self, arguments, number="0"):
        command = [cli.MPIRUN, "--quiet", "--oversubscribe"]
        for rank in range(2):
            fails = [f"VGG11_FAIL_ALLOCATION={number}"] * (rank == self.failing)
            records = [f"{name}={value}" for name, value in self.environment.items() if name == "VGG11_ALLOCATIONS" and rank == self.failing]
            command += [":"] * (rank > 0) + ["-np", "1", "env", "-u", "VGG11_ALLOCATIONS", *fails, *records, PROGRAM, *arguments]
        return self.run_command(command)

    def check_fails(self, rank, arguments):
        self.failing = rank
        self.walk(arguments, lambda: shutil.rmtree(self.path("run"), ignore_errors=True), lambda number, outcome: None)

    def test_first(self):
        self.check_fails(0, [*TRAIN, "--trace", "trace.json"])

    def test_second(self):
        self.check_fails(1, TRAIN)

    def test_evaluate(self):
        self.train_once()
        for rank in range(2):
            self.check_fails(rank, ["eval", *SHORT, "--test-samples", "8", "--checkpoint", "before/checkpoint-00000001.safetensors"])

    def test_resume(self):
        self.train_once()
        for rank in range(2):
            self.check_fails(rank, [*TRAIN, "--epochs", "2", "--resume", "before"])

    def test_info(self):
        for rank in range(2):
            self.check_fails(rank, ["info"])


class Compare(Memory):
    def test_compare(self):
        """Two folders of the same bits, of which one says other things of how they came about: none of that may be missing."""
        self.train_once()
        shutil.copytree(self.path("before"), self.path("other"), copy_function=os.link)
        with open(self.path("other", "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        os.remove(self.path("other", "config.json"))
        with open(self.path("other", "config.json"), "w", encoding="utf-8") as file:
            json.dump({**config, "provenance": {**config["provenance"], "build": "another", "hosts": "elsewhere"}}, file)
        compare = ["compare", "--json", "before", "other"]
        expected = self.run_command([PROGRAM, *compare]).out
        self.assertEqual([one["what"] for one in json.loads(expected)["differences"]], ["build", "hosts"])
        self.walk(compare, lambda: None, lambda number, outcome: self.assertTrue(outcome.status or outcome.out == expected, number))


if __name__ == "__main__":
    unittest.main()
