"""A small simulated cluster: what any model of a network must say of it."""
import csv
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

RANKS, PER_NODE = 4, 2
COMPUTE_S = 0.05
GRADIENT_BYTES = 4 * 32_208_898


class Simulation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        table = pathlib.Path(cls.folder.name) / "table.csv"
        options = ["--ranks", str(RANKS), "--ranks-per-node", str(PER_NODE), "--links", "10,100", "--strategies",
                   "flat,flat bf16,node,node bf16", "--compute-ms", str(1e3 * COMPUTE_S), "--bandwidth", "100", "--output", table]
        done = subprocess.run([sys.executable, os.environ["SIMULATE"], *options], text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        with open(table, encoding="utf-8") as file:
            cls.steps = {(row["strategy"], int(row["gigabits"])): float(row["step_s"]) for row in csv.DictReader(file)}
        cls.picture = table.with_suffix(".svg")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_no_link_is_faster_than_it_is(self):
        """Over two nodes, half of the numbers leave each to be added, and half of the sums come back: after the forward pass, a
        third of the computation, for `node`, after all of it for the others."""
        for (strategy, gigabits), step_s in self.steps.items():
            bytes_out = GRADIENT_BYTES / (2 if "bf16" in strategy else 1)
            before_s = COMPUTE_S / 3 if "node" in strategy else COMPUTE_S
            self.assertGreater(step_s, before_s + bytes_out / (gigabits * 1e9 / 8), (strategy, gigabits))
            self.assertGreater(step_s, COMPUTE_S)

    def test_order_of_strategies(self):
        for gigabits in (10, 100):
            self.assertLess(self.steps["node", gigabits], self.steps["flat", gigabits])
        self.assertLess(self.steps["node bf16", 10], self.steps["node", 10])
        for strategy in ("flat", "node", "flat bf16", "node bf16"):
            self.assertLess(self.steps[strategy, 100], self.steps[strategy, 10])

    def test_picture(self):
        self.assertEqual(self.picture.exists(), shutil.which("gnuplot") is not None)


if __name__ == "__main__":
    if not shutil.which("smpicc") or not shutil.which("smpirun"):
        print("skipped: SimGrid (Debian: libsimgrid-dev) is not installed")
        sys.exit(77)
    unittest.main()
