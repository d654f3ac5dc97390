"""Ranks that are not alike: by processor, by threads, by what their environment or their command line says. They run, are stopped and
go on like any others, or are refused in one line; none waits for the others for ever."""
import json
import os
import signal
import struct
import unittest

import cli

SMALL = ["train", "--data", cli.DATA, "--train-samples", "24", "--test-samples", "8", "--batch-size", "8", "--epochs", "1",
         "--checkpoint-steps", "1", "--keep", "0", "--check-every", "1"]

# By ranks. The last level of all lowers nothing, and every x86-64 processor with vector extensions has more than "portable".
LEVELS = {2: ["portable", "amx_bf16"], 3: ["avx2", "amx_bf16", "portable"]}


def launch(words, *wrappers):
    """A rank for each wrapper: what its environment has in place of this one's."""
    command = [cli.MPIRUN, "--quiet", "--oversubscribe"]
    for rank, wrapper in enumerate(wrappers):
        command += [":"] * (rank > 0) + ["-np", "1", "env", *wrapper, cli.PROGRAM, *words]
    return command


def setting(path):
    with open(path, "rb") as file:
        return json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))["__metadata__"]["setting"]


class Unlike(cli.Case):
    def run_to(self, steps, run, wrappers, *options):
        outcome = self.run_command(launch([*SMALL, "--max-steps", str(steps), "--output", run, *options], *wrappers))
        self.assertEqual(outcome.status, 0, outcome.err)
        return outcome

    def checkpoint(self, run, step):
        return self.path(run, f"checkpoint-{step:08d}.safetensors")

    def test_processors(self):
        for ranks, precision in [(2, "bf16"), (3, "fp32")]:
            with self.subTest(ranks=ranks, precision=precision):
                self.goes_on_to_the_same_bits(f"{ranks}-{precision}", [["VGG11_CPU=" + level] for level in LEVELS[ranks]],
                                              "--precision", precision, "--threads", "1", "--no-tune")

    def goes_on_to_the_same_bits(self, name, wrappers, *options):
        outcome = self.run_to(3, name, wrappers, *options)
        self.assertEqual(outcome.err.count("unlike processors"), 1, outcome.err)
        again = self.run_to(3, name + "-again", wrappers, *options, "--resume=" + self.checkpoint(name, 2))
        self.assertNotIn("same bits", again.err)
        ends = [cli.tensors(self.checkpoint(run, 3)) for run in [name, name + "-again"]]
        self.assertEqual(ends[0], ends[1])

    def test_precision_that_all_have(self):
        with open("/proc/cpuinfo") as file:
            native = any(flag in file.read().split() for flag in ["avx512_bf16", "amx_bf16"])
        for ranks, precision in [(["amx_bf16", "portable"], "fp32"), (["amx_bf16", "amx_bf16"], "bf16" if native else "fp32")]:
            with self.subTest(ranks=ranks):
                run = "-".join(ranks)
                self.run_to(1, run, [["VGG11_CPU=" + level] for level in ranks], "--precision", "auto", "--no-tune", "--threads", "1")
                with open(self.path(run, "config.json")) as file:
                    self.assertEqual(json.load(file)["options"]["precision"], precision)

    def test_other_processors_than_before(self):
        """The first rank is as before, the second is not."""
        same = ["VGG11_CPU=amx_bf16"]
        self.run_to(1, "run", [same, same], "--threads", "1")
        outcome = self.run_to(2, "again", [same, ["VGG11_CPU=portable"]], "--threads", "1", "--resume=" + self.path("run"))
        unlike = setting(self.checkpoint("run", 1)) != setting(self.checkpoint("again", 2))
        self.assertEqual(outcome.err.count("same bits"), unlike, outcome.err)
        self.assertEqual("portable@1" in outcome.err, unlike, outcome.err)

    def test_algorithm_that_one_processor_lacks(self):
        words = [*SMALL, "--no-tune", "--quiet", "--precision", "bf16", "--conv", "direct-bf16", "--output", "run"]
        outcome = self.run_command(launch(words, *[["VGG11_CPU=" + level] for level in reversed(LEVELS[2])]))
        self.assertEqual((outcome.status, len(outcome.errors())), (9, 1), outcome.err)
        self.assertRegex(outcome.errors()[0], "--conv direct-bf16: .*(not to be had on every rank|needs AVX512_BF16)")

    def test_threads(self):
        """A node's ranks share its cores, so that a rank alone on its node has more. One rank has nowhere to keep timings."""
        self.environment["VGG11_TEST_NODES"] = "1,2"
        wrappers = [["A=a"], ["-u", "HOME", "-u", "XDG_CACHE_HOME"], ["A=a"]]
        ranks = json.loads(self.run_command(launch(["info", "--json"], *wrappers)).out)["ranks"]
        process = self.start(launch([*SMALL, "--epochs", "1000", "--output", "run"], *wrappers))
        self.wait_for("its second checkpoint", lambda: os.path.exists(self.checkpoint("run", 2)), process)
        process.send_signal(signal.SIGUSR1)
        outcome = self.finish(process)
        self.assertEqual(outcome.status, 75, outcome.err)
        stopped = cli.events(self.path("run"), "step")[-1]["step"]
        self.assertEqual("threads=" in setting(self.checkpoint("run", stopped)), len({rank["threads"] for rank in ranks}) > 1)
        outcome = self.run_to(stopped + 1, "run", wrappers, "--epochs", "1000", "--resume")
        self.assertNotIn("same bits", outcome.err)

    def test_commands(self):
        """What one rank alone is asked for, its others wait for in vain."""
        for word in ["--help", "--version"]:
            with self.subTest(word=word):
                alike = launch(["info"], ["A=a"], ["A=a"])
                outcome = self.run_command([*alike, word])
                self.assertEqual((outcome.status, len(outcome.errors()), outcome.out), (7, 1, ""), outcome.err)
                self.assertRegex(outcome.errors()[0], "differs between ranks")

    def test_builds(self):
        """The same program but for the number that its linker gave it."""
        with open(cli.PROGRAM, "rb") as file:
            program = bytearray(file.read())
        note = struct.pack("<III", 4, 20, 3) + b"GNU\0"
        self.assertEqual(program.count(note), 1)
        program[program.index(note) + len(note)] ^= 1
        with open(self.path("other"), "wb") as file:
            file.write(program)
        os.chmod(self.path("other"), 0o755)
        command = launch(["info"], ["A=a"], ["A=a"])
        self.assertEqual(self.run_command(command).status, 0)
        command[-2] = self.path("other")
        outcome = self.run_command(command)
        self.assertEqual((outcome.status, len(outcome.errors()), outcome.out), (7, 1, ""), outcome.err)
        self.assertRegex(outcome.errors()[0], "build differs between ranks")

    def test_nodes(self):
        outcome = self.run_command(launch(["info"], ["VGG11_TEST_NODES=1,1"], ["A=a"]))
        self.assertEqual((outcome.status, outcome.out), (7, ""), outcome.err)
        self.assertRegex(outcome.err, "VGG11_TEST_NODES differs between ranks")


if __name__ == "__main__":
    unittest.main()
