"""The run folder among other runs, other people's files and full disks."""
import json
import os
import resource
import signal
import stat
import unittest

import cli

LAST = "checkpoint-00000004.safetensors"  # of TINY


class FolderCase(cli.Case):
    def start_endless(self, *arguments):
        """A run that has taken its second step, and goes on until it is told to stop."""
        process = self.start(cli.launch(["train", *cli.TINY, "--epochs", "1000", "--output", "run", "--quiet", *arguments]))
        self.wait_for_text("metrics.jsonl", '"step","step":2', process)
        return process

    def wait_for_text(self, name, text, process):
        path = self.path("run", name)
        self.wait_for(text, lambda: os.path.exists(path) and text in self.read(path), process)

    @staticmethod
    def read(path):
        with open(path, encoding="utf-8") as file:
            return file.read()

    def write(self, path, text):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def holder(self):
        return json.loads(self.read(self.path("run", ".lock")))


class Lock(FolderCase):
    def test_second_run_is_told_who_the_first_is(self):
        self.environment["JOB_ID"] = "4711"
        process = self.start_endless("--checkpoint-steps", "3")
        pid = self.holder()["pid"]
        says = rf"run: another run is writing here, process {pid} on {self.holder()['host']}, job 4711, since \d{{4}}-.*name another"
        for flags in [[], ["--resume=auto"], ["--resume"]]:
            self.assert_refused(5, says, "train", *cli.TINY, "--quiet", "--output", "run", *flags)
        process.send_signal(signal.SIGUSR1)
        self.assertEqual(self.finish(process).status, 75)
        self.assertFalse(os.path.exists(self.path("run", ".lock")))
        steps = [step["step"] for step in cli.events(self.path("run"), "step")]
        self.assertEqual(steps, list(range(1, len(steps) + 1)))
        self.train("--output", "run", "--resume", "--max-steps", str(len(steps)))

    def test_folder_of_a_killed_run_is_taken_over(self):
        process = self.start_endless("--checkpoint-steps", "1")
        self.wait_for_text("metrics.jsonl", '"event":"checkpoint"', process)
        pid = self.holder()["pid"]
        self.write(self.path("run", ".vgg11-0123456789abcdef"), "of a save that was interrupted")
        os.kill(pid, signal.SIGKILL)
        self.assertNotEqual(self.finish(process).status, 0)
        self.assertEqual(self.holder()["pid"], pid)
        done = cli.events(self.path("run"), "checkpoint")[-1]["step"]
        outcome = self.run_program("train", *cli.TINY, "--epochs", "1000", "--output", "run", "--resume", "--max-steps", str(done + 1))
        self.assertEqual(outcome.status, 0, outcome.err)
        self.assertRegex(outcome.err, f"run: taken over from process {pid} on ")
        self.assertEqual([name for name in os.listdir(self.path("run")) if name.startswith(".")], [])

    def test_two_that_start_together(self):
        """Whoever is first: one run, whole, and one line from the other."""
        command = cli.launch(["train", *cli.TINY, "--output", "run"])
        outcomes = [self.finish(process) for process in [self.start(command), self.start(command)]]
        first, second = sorted(outcomes, key=lambda outcome: outcome.status)
        self.assertEqual(first.status, 0, first.err)
        self.assertIn(second.status, [2, 5], second.err)  # 2: it came when the first had ended
        self.assertRegex(second.errors()[-1], "another run")
        kinds = [event["event"] for event in cli.read_metrics(self.path("run"))]
        self.assertEqual((kinds.count("start"), kinds.count("step"), kinds.count("end")), (1, 4, 1))
        cli.tensors(self.path("run", LAST))


class Results(FolderCase):
    def refuse(self, name, pattern, *flags):
        os.mkdir(self.path(name))
        path = self.write(self.path(name, name), "of another run")
        self.assert_refused(2, pattern, "train", *cli.TINY, "--quiet", "--output", name, *flags)
        self.assertEqual(os.listdir(self.path(name)), [name])
        self.assertEqual(self.read(path), "of another run")

    def test_results_are_not_written_over(self):
        for name in ["best.safetensors", "metrics.jsonl", "summary.json"]:
            with self.subTest(name=name):
                self.refuse(name, f"--output {name}: holds the results of another run")

    def test_checkpoints_are_not_written_over(self):
        self.refuse(LAST, f"--output {LAST}: holds the checkpoints of another run")

    def test_auto_does_not_lose_the_best(self):
        self.refuse("best.safetensors", r"--resume=auto: .*--resume=best\.safetensors/best\.safetensors", "--resume=auto")

    def test_what_a_refused_run_leaves_is_in_nobodys_way(self):
        self.assert_refused(3, "nowhere", "train", *cli.TINY, "--quiet", "--output", "run", "--data", "nowhere")
        self.train("--output", "run", "--max-steps", "1")


class Links(FolderCase):
    def test_links_are_not_followed(self):
        canary = self.write(self.path("canary"), "untouched")
        names = ["config.json", ".config.json.tmp", ".summary.json.tmp", "plots/loss.svg", "plots/accuracy.svg"]
        os.makedirs(self.path("run", "plots"))
        for name in names:
            os.symlink(canary, self.path("run", name))
        self.train("--output", "run", "--trace", "run/trace.json")
        self.assertEqual(self.read(canary), "untouched")
        for name in ["config.json", "summary.json", "metrics.jsonl", "trace.json", LAST, "best.safetensors"]:
            self.assertTrue(stat.S_ISREG(os.lstat(self.path("run", name)).st_mode), name)

    def test_links_in_place_of_files_that_grow(self):
        canary = self.write(self.path("canary"), "untouched")
        for name in ["metrics.jsonl", ".lock", "trace.json"]:
            with self.subTest(name=name):
                os.mkdir(self.path(name))
                os.symlink(canary, self.path(name, name))
                self.assert_refused(5, "is a symbolic link", "train", *cli.TINY, "--quiet", "--output", name, "--trace", name + "/trace.json")
        self.assertEqual(self.read(canary), "untouched")

    def test_pipes_are_not_waited_on(self):
        os.mkfifo(self.path("pipe"))
        train = ["train", *cli.TINY, "--quiet", "--output", "run"]
        self.assert_refused(2, "--config pipe: is not a regular file", *train, "--config", "pipe")
        self.assert_refused(5, "--trace pipe: is not a regular file", *train, "--trace", "pipe")
        for name in [".lock", "metrics.jsonl", "config.json"]:
            with self.subTest(name=name):
                os.mkdir(self.path(name))
                os.mkfifo(self.path(name, name))
                self.assert_refused(5, "is not a regular file", "train", *cli.TINY, "--quiet", "--output", name)


class Disk(FolderCase):
    """A limit on the size of files, as ulimit sets it, makes writing fail as on a full disk, and can be lifted from outside."""

    def limited(self, *arguments):
        """Room for what Open MPI keeps in shared memory, and not for a checkpoint."""
        return self.start(["prlimit", "--fsize=200000000:unlimited",
                           *cli.launch(["train", *cli.TINY, "--exchange", "allreduce", "--output", "run", *arguments])])

    def test_a_disk_that_is_full_for_a_while(self):
        process = self.limited("--epochs", "1000", "--checkpoint-steps", "1", "--keep", "3")
        self.wait_for_text("metrics.jsonl", '"step","step":3', process)
        self.assertEqual(cli.checkpoints(self.path("run")), [])
        resource.prlimit(self.holder()["pid"], resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        self.wait_for("a checkpoint", lambda: cli.checkpoints(self.path("run")), process)
        process.send_signal(signal.SIGUSR1)
        outcome = self.finish(process)
        self.assertEqual(outcome.status, 75, outcome.err)
        self.assertRegex(outcome.err, r"warning: run/checkpoint-00000001\.safetensors: no room for a checkpoint .*; the run goes on")
        cli.tensors(self.path("run", cli.checkpoints(self.path("run"))[-1]))

    def test_a_disk_that_stays_full(self):
        outcome = self.finish(self.limited("--quiet"))
        self.assertEqual(outcome.status, 5, outcome.err)
        self.assertEqual(len(outcome.errors()), 1, outcome.err)
        self.assertRegex(outcome.errors()[0], f"run/{LAST}: no room for a checkpoint")
        self.assertEqual([event["status"] for event in cli.events(self.path("run"), "end")], [5])
        self.assertEqual(cli.checkpoints(self.path("run")), [])

    def test_the_first_error_is_the_one_that_is_shown(self):
        """A run that diverges, and then cannot write its summary."""
        process = self.start(cli.launch(["train", *cli.TINY, "--quiet", "--lr", "1000", "--clip-norm", "0", "--output", "run"]))
        self.wait_for("its metrics", lambda: os.path.exists(self.path("run", "metrics.jsonl")), process)
        os.mkdir(self.path("run", "summary.json"))
        outcome = self.finish(process)
        self.assertEqual(outcome.status, 6, outcome.err)
        self.assertEqual(len(outcome.errors()), 1, outcome.err)
        self.assertRegex(outcome.errors()[0], "training diverged")
        self.assertRegex(outcome.err, "warning: run/summary.json: is not a regular file")


if __name__ == "__main__":
    unittest.main()
