"""A machine that gives little: the address space of a process is limited (ulimit -v, as batch systems do), or the size of files, or
/dev/shm has no room. The program does without, or says in one line what is missing; it never waits for what will not come."""
import os
import shutil
import subprocess
import tempfile
import unittest

import cli

os.environ["TMPDIR"] = tempfile.tempdir = "/tmp"  # not in /dev/shm, which is covered here

LESS_THAN_THE_IMAGES = "-f 65536"  # blocks of 512 bytes


def mounts(options, command):
    """The command with a /dev/shm of its own."""
    as_root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    script = f'mount -t tmpfs -o {options} tmpfs /dev/shm && exec "$@"'
    return ["unshare", "--mount", *as_root, "sh", "-c", script, "sh", *command]


def why_no_mounts():
    if not shutil.which("unshare"):
        return "unshare is not installed"
    tried = subprocess.run(mounts("size=1m", ["true"]), capture_output=True, text=True, check=False)
    return tried.stderr.strip() if tried.returncode else ""


def limited(limit, command):
    """The command's ranks, but not what starts them, with that limit."""
    first = command.index(cli.PROGRAM)
    return [*command[:first], "sh", "-c", f'ulimit {limit} && exec "$@"', "sh", *command[first:]]


class Limits(cli.Case):
    def test_address_space(self):
        """From too little to load the program to enough to train. Only the loader and the libraries speak another way."""
        with open(cli.PROGRAM, "rb") as file:
            if b"__asan_init" in file.read():
                self.skipTest("the address sanitizer maps terabytes")
        statuses = []
        for mib in [120, 300, 450, 700, 1000, 2000, 6000]:
            with self.subTest(mib=mib):
                command = cli.launch(["train", *cli.TINY, "--quiet", "--max-steps", "1", "--checkpoint-every", "0", "--threads", "1",
                                      "--output", f"run-{mib}"])
                outcome = self.run_command(limited(f"-v {mib * 1024}", command))
                statuses.append(outcome.status)
                if outcome.status == 9:
                    self.assertEqual(len(outcome.errors()), 1, outcome.err)
                    self.assertRegex(outcome.errors()[0], "^vgg11_dist: .*(memory|address space)")
        self.assertEqual(statuses[-1], 0)
        self.assertIn(9, statuses)

    def test_size_of_files(self):
        """Files in memory are files, too: each rank has the images for itself, and the exchange is another one."""
        train = ["train", *cli.TINY, "--train-samples", "0", "--max-steps", "1", "--threads", "1", "--output", "run"]
        outcome = self.run_command(limited(LESS_THAN_THE_IMAGES, cli.launch([*train, "--checkpoint-every", "0"])))
        self.assertEqual(outcome.status, 0, outcome.err)
        self.assertEqual(len(cli.events(self.path("run"), "step")), 1)
        told = [line for line in outcome.lines if "each rank keeps a copy of the images" in line]
        self.assertEqual(len(told), int(cli.RANKS > 1), outcome.err)
        if cli.RANKS > 1:
            self.assertRegex(outcome.err, "exchange overlap")
            self.assert_refused_there(9, "gives no shared memory of .* MiB: File too large", *train, "--output", "node", "--exchange", "node")
        self.assert_refused_there(5, "checkpoint-00000001.safetensors: .*File too large", *train, "--output", "saved")

    def assert_refused_there(self, status, pattern, *arguments):
        outcome = self.run_command(limited(LESS_THAN_THE_IMAGES, cli.launch([*arguments, "--quiet"])))
        self.assertEqual(outcome.status, status, outcome.err)
        self.assertEqual(len(outcome.errors()), 1, outcome.err)
        self.assertRegex(outcome.errors()[0], pattern)


@unittest.skipIf(why_no_mounts(), "no file systems of a test's own: " + why_no_mounts())
class SharedMemory(cli.Case):
    def setUp(self):
        super().setUp()
        self.environment["OMPI_MCA_btl_vader_backing_directory"] = "/dev/shm"

    def run_in(self, options, *arguments):
        return self.run_command(mounts(options, cli.launch(["train", "--data", cli.DATA, "--batch-size", "16", "--no-tune", "--max-steps",
                                                            "1", "--test-samples", "40", "--checkpoint-every", "0", "--threads", "1",
                                                            *arguments])))

    def test_little_room(self):
        """As much as containers have: the images alone are nearly as large, and the weights and gradients are larger."""
        for exchange in ["auto", "node", "overlap", "allreduce"]:
            with self.subTest(exchange=exchange):
                outcome = self.run_in("size=64m", "--exchange", exchange, "--output", exchange)
                self.assertEqual(outcome.status, 0, outcome.err)
                self.assertEqual(len(cli.events(self.path(exchange), "step")), 1)

    def test_no_room(self):
        for options in ["size=64k", "nr_inodes=1", "ro"]:
            with self.subTest(options=options):
                outcome = self.run_in(options, "--output", "run-" + options.replace("=", "-"))
                self.assertEqual(outcome.status, 0, outcome.err)


if __name__ == "__main__":
    unittest.main()
