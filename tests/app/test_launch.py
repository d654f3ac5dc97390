"""The launch script takes what this shell may use, and no more."""
import json
import os
import shutil
import unittest

import cli

LAUNCH = os.environ["VGG11_LAUNCH"]


class Launch(cli.Case):
    def words(self, *arguments, before=()):
        outcome = self.run_command([*before, os.path.join(LAUNCH, "local.sh"), "--dry-run", *arguments])
        self.assertEqual(outcome.status, 0, outcome.err)
        return outcome.out.split()

    def after(self, words, option):
        return words[words.index(option) + 1]

    def shell(self, text):
        outcome = self.run_command(["bash", "-c", f'set -euo pipefail; . "{LAUNCH}/common.sh"; {text}'])
        self.assertEqual(outcome.status, 0, outcome.err)
        return outcome.out.strip()

    def quota(self, cgroup, files):
        """What quota_cores says where these files lie."""
        folder = self.path("groups")
        shutil.rmtree(folder, ignore_errors=True)
        for name, text in {"cgroup": cgroup, **files}.items():
            path = os.path.join(folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text + "\n")
        return self.shell(f'quota_cores "{folder}" "{folder}"')

    def test_quota(self):
        self.assertEqual(self.quota("0::/a/b", {}), "")
        self.assertEqual(self.quota("0::/a/b", {"a/b/cpu.max": "max 100000"}), "")
        self.assertEqual(self.quota("0::/a/b", {"a/b/cpu.max": "350000 100000"}), "3")
        self.assertEqual(self.quota("0::/a/b", {"a/b/cpu.max": "350000 100000", "a/cpu.max": "200000 100000"}), "2")
        self.assertEqual(self.quota("0::/not/visible", {"cpu.max": "50000 100000"}), "1")
        version_1 = {"cpu/a/cpu.cfs_quota_us": "200000", "cpu/a/cpu.cfs_period_us": "100000"}
        self.assertEqual(self.quota("3:memory:/\n2:cpu,cpuacct:/a/b", version_1), "2")
        self.assertEqual(self.quota("2:cpuset:/a", version_1), "")
        self.assertEqual(self.quota("2:cpu:/a", {**version_1, "cpu/a/cpu.cfs_quota_us": "-1"}), "")

    def test_quota_bounds_the_cores(self):
        self.assertEqual(self.shell("quota_cores() { echo 1; }; count_cores"), "1")
        self.assertEqual(self.shell("quota_cores() { echo 100000; }; count_cores"), self.shell("allowed_cores | wc -l"))

    def test_mask(self):
        """mpirun would bind to the machine's first cores."""
        allowed = sorted(os.sched_getaffinity(0))
        words = self.words("--ranks", "1", before=["taskset", "-c", str(allowed[-1])])
        self.assertEqual(self.after(words, "--threads"), "1")
        bound = self.shell("count_machine_cores") == "1"
        self.assertEqual(self.after(words, "--bind-to"), "core" if bound else "none")

    def test_all_cores(self):
        """Bound where the run takes the whole machine, and only there."""
        cores = int(self.shell("count_machine_cores"))
        if self.shell("count_cores") != str(cores):
            self.skipTest("this test may not use all cores")
        words = self.words("--ranks", str(cores))
        self.assertEqual((self.after(words, "--bind-to"), self.after(words, "--map-by")), ("core", "slot:PE=1"))
        self.assertEqual(self.after(self.words("--ranks", str(cores), "--threads", "2"), "--bind-to"), "none")
        self.assertIn("--oversubscribe", self.words("--ranks", str(cores + 1)))
        if cores > 1:
            self.assertEqual(self.after(self.words("--ranks", "1", "--threads", "1"), "--bind-to"), "none")


class Threads(cli.Case):
    def test_ranks_that_openmp_binds_alike(self):
        """Each begins with the first core."""
        if json.loads(self.run_command([cli.PROGRAM, "info", "--json"]).out)["ranks"][0]["cores"] < 2:
            self.skipTest("there is one core")
        told = "OpenMP binds 2 threads to each core it uses"
        command = [cli.MPIRUN, "--quiet", "--oversubscribe", "--bind-to", "none", "-np", "2", cli.PROGRAM, "info", "--threads", "1"]
        self.assertNotIn(told, self.run_command(command).err)
        self.environment["OMP_PROC_BIND"] = "true"
        outcome = self.run_command(command)
        self.assertEqual(outcome.status, 0, outcome.err)
        self.assertEqual(len([line for line in outcome.lines if told in line]), 1, outcome.err)


if __name__ == "__main__":
    unittest.main()
