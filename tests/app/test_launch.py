"""The launch script takes what this shell may use, and no more."""
import json
import os
import shutil
import unittest

import cli

LAUNCH = os.environ["VGG11_LAUNCH"]


def script(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write("#!/usr/bin/env bash\nset -euo pipefail\n" + text + "\n")
    os.chmod(path, 0o755)
    return path


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

    def test_the_program_says_how_many_cores(self):
        """Which knows masks and quotas. The user's own wish for threads is no answer."""
        self.environment["VGG11_DIST"] = script(self.path("program"), r'''[ "$*" = "info --json --quiet" ] || exit 9
            [ -z "${OMP_NUM_THREADS:-}" ] && printf '{\n  "threads": 3,\n  "threads_from": "its share of the cores"\n}\n' ''')
        self.environment["OMP_NUM_THREADS"] = "7"
        words = self.words("--ranks", "1")
        self.assertEqual(self.after(words, "--threads"), "3")
        self.assertIn("--oversubscribe", self.words("--ranks", "4"))
        self.environment["VGG11_DIST"] = script(self.path("program"), "echo it cannot start >&2; exit 9")
        outcome = self.run_command([os.path.join(LAUNCH, "local.sh"), "--dry-run"])
        self.assertNotEqual(outcome.status, 0)
        self.assertIn("it cannot start", outcome.err)

    def test_ranks_in_the_words_of_mpirun(self):
        for words in [["--ranks", "3"], ["--ranks=3"], ["-n", "3"], ["-np", "3"]]:
            self.assertEqual(self.after(self.words(*words, "train", "-n"), "-np"), "3")
        outcome = self.run_command([os.path.join(LAUNCH, "local.sh"), "--dry-run", "-np"])
        self.assertEqual((outcome.status, outcome.err), (2, "-np: a number is missing\n"))

    def test_setup_where_there_is_no_apt(self):
        """One line that says what to do instead."""
        tools = self.path("tools")
        os.mkdir(tools)
        for name in ["bash", "dirname"]:
            os.symlink(shutil.which(name), os.path.join(tools, name))
        outcome = self.run_command([os.path.join(tools, "bash"), "-c", f'PATH="{tools}"; . "{LAUNCH}/setup.sh"', f"{LAUNCH}/setup.sh"])
        self.assertEqual((outcome.status, outcome.out), (1, ""))
        self.assertRegex(outcome.err, "^setup.sh: there is no apt-get here: .*Open MPI, OpenBLAS, zlib and jansson.*cmake -S . -B build.*\n$")

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


class StandIns(cli.Case):
    """The scripts, with stand-ins for mpirun, which reads all that it is given, and for the program, which only tells of its steps."""

    def setUp(self):
        super().setUp()
        self.environment["VGG11_DIST"] = script(self.path("program"), r'''[ "$1" != info ] || { echo '  "threads": 2,'; exit; }
            while [ "$1" != --output ]; do shift; done
            mkdir -p "$2"
            printf '{"event":"step","images_per_second":%s}\n' 99 1.75 1.5e+1 1.25 >"$2/metrics.jsonl"''')
        self.environment["MPIRUN"] = script(self.path("mpirun"), r'''cat >/dev/null
            while [ "$1" != "$VGG11_DIST" ]; do shift; done
            exec "$@"''')

    def has_decimal_comma(self, **locale):
        self.environment.update(locale)
        return self.run_command(["locale", "decimal_point"]).out.strip() == ","

    def make_locale(self):
        try:
            self.run_command(["localedef", "-i", "de_DE", "-f", "UTF-8", self.path("comma")])
        except FileNotFoundError:
            self.skipTest("no locale has a decimal comma, and none can be made")

    def take_decimal_comma(self):
        """A locale of this machine whose decimal point is a comma, or one that is made."""
        if any(self.has_decimal_comma(LC_ALL=name) for name in self.run_command(["locale", "-a"]).out.split()):
            return
        self.make_locale()
        if not self.has_decimal_comma(LC_ALL="comma", LOCPATH=self.folder):
            self.skipTest("no locale has a decimal comma")

    def test_scaling_where_a_comma_is_the_decimal_point(self):
        self.take_decimal_comma()
        outcome = self.run_command([os.path.join(LAUNCH, "scaling.sh"), "--shapes", "1x1 2x1", "--steps", "4", "--repeats", "1",
                                    "--output", self.path("out")])
        self.assertEqual(outcome.status, 0, outcome.err)
        with open(self.path("out", "scaling.csv"), encoding="utf-8") as file:
            self.assertEqual(file.read().split(), ["mode,ranks,threads,batch,images_per_second,speedup,efficiency",
                                                   "strong,1,1,128,1.75,1.000,1.000", "strong,2,1,128,1.75,1.000,0.500",
                                                   "weak,1,1,32,1.75,1.000,1.000", "weak,2,1,64,1.75,1.000,0.500"])

    def test_a_list_that_a_loop_reads_is_left_alone(self):
        runs = ["first", "second", "third"]
        loop = f'printf "%s\\n" {" ".join(runs)} | while read -r run; do "{LAUNCH}/local.sh" train --output "$run"; done'
        outcome = self.run_command(["bash", "-c", loop])
        self.assertEqual(outcome.status, 0, outcome.err)
        self.assertEqual([run for run in runs if os.path.exists(self.path(run, "metrics.jsonl"))], runs)


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
