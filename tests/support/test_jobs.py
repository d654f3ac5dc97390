"""What the tests of several processes rest on: a rank that ends badly ends all, and nothing outlives a test unnoticed."""
import os
import re
import signal
import subprocess
import sys
import unittest

from job import Job

JOB = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "job.py")]
MPIRUN = os.environ.get("MPIRUN", "mpirun")
LIMIT_S = 60 * float(os.environ.get("VGG11_TEST_SLOWNESS", "1"))  # what hangs would last to this limit, and be told to hang


class Case(unittest.TestCase):
    def setUp(self):
        self.all = Job()

    def tearDown(self):
        left = self.all.processes()
        self.all.end()
        self.assertEqual(left, [])

    def environment(self, limit_s):
        return self.all.environment(VGG11_TEST_LIMIT_S=str(limit_s))

    def run_job(self, *command, limit_s=LIMIT_S):
        return subprocess.run(JOB + list(command), env=self.environment(limit_s), text=True, capture_output=True, check=False)


class Ranks(Case):
    """Rank 1 ends while the others wait for it in a barrier."""

    def end(self, way, pattern):
        for ranks in ["2", "3"]:
            with self.subTest(ranks=ranks):
                done = self.run_job(MPIRUN, "--oversubscribe", "-np", ranks, os.environ["ENDED_RANK"], way)
                output = done.stdout + done.stderr
                self.assertNotEqual(done.returncode, 0, output)
                self.assertRegex(output, pattern)
                self.assertNotRegex(output, "hangs:|100%")

    def line_of(self, words):
        """Where the program's source says that."""
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ended_rank.c")
        with open(source, encoding="utf-8") as file:
            number = [words in line for line in file].index(True) + 1
        return rf"rank 1: \S*ended_rank\.c:{number}: one_rank_ends: {re.escape(words)}"

    def test_check(self):
        self.end("check", self.line_of("a check that fails on one rank"))

    def test_check_of_all_ranks(self):
        self.end("collective-check", self.line_of("a check of all ranks"))

    def test_crash(self):
        self.end("crash", r"(?i)rank 1 .*on signal \d+")

    def test_exit(self):
        self.end("exit", r"rank 1: exit\(\) in one_rank_ends, before its tests had ended")

    def test_exit_that_nothing_can_catch(self):
        self.end("_exit", r"(?s)process rank 1 .*exit")

    def test_none(self):
        done = self.run_job(MPIRUN, "--oversubscribe", "-np", "3", os.environ["ENDED_RANK"])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stdout.count("100%"), 3)


class Jobs(Case):
    def shell(self, script, **options):
        return self.run_job("bash", "-c", script, **options)

    def test_status(self):
        for status in [0, 1, 77]:
            self.assertEqual(self.shell(f"exit {status}").returncode, status)
        self.assertEqual(self.shell("kill -9 $$").returncode, 128 + 9)

    def test_limit(self):
        """All are ended, those too that have a session of their own."""
        done = self.shell("setsid sleep 4321 & wait", limit_s=2)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"(?s)hangs: still running after 2 s:.*sleep 4321")
        self.assertNotIn("left behind", done.stderr)

    def test_signal(self):
        """Who ends the job ends all of it."""
        command = JOB + ["bash", "-c", "setsid sleep 4321 & echo started; wait"]
        with subprocess.Popen(command, env=self.environment(LIMIT_S), stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            process.terminate()
        self.assertEqual(process.returncode, 128 + signal.SIGTERM)

    def test_process_left_behind(self):
        done = self.shell("setsid sleep 4321 >/dev/null 2>&1 & exit 0")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"left behind:\n  process \d+ \(S\): sleep 4321\n")

    def test_process_that_ends_by_itself(self):
        self.assertEqual(self.shell("setsid sleep 1 >/dev/null 2>&1 & exit 0").returncode, 0)

    def test_shared_memory_left_behind(self):
        done = self.shell("touch $OMPI_MCA_btl_vader_backing_directory/segment; echo $OMPI_MCA_btl_vader_backing_directory")
        self.assertEqual(done.returncode, 1)
        folder = done.stdout.strip()
        self.assertEqual(done.stderr, f"left behind in {folder}: segment\n")
        self.assertFalse(os.path.exists(folder))


if __name__ == "__main__":
    unittest.main()
