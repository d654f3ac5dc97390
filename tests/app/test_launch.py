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
        self.assertRegex(outcome.err, "^setup.sh: there is no apt-get here: .*Open MPI, OpenBLAS, zlib, jansson and xxHash.*cmake -S . -B build.*\n$")

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
        for name in [name for name in self.environment if name.startswith("SLURM_")]:
            del self.environment[name]
        self.environment["VGG11_DIST"] = script(self.path("program"), r'''[ "$1" != info ] || { echo '  "threads": 2,'; exit; }
            case " $* " in *" --help "*) exit 0 ;; esac
            while [ "$1" != --output ]; do shift; done
            mkdir -p "$2"
            printf '{"event":"step","images_per_second":%s,"step_s":2.0,"compute_s":1.0,"exchange_s":0.25}\n' \
                99 1.75 1.5e+1 1.25 >"$2/metrics.jsonl"
            printf '{\n  "provenance": {\n    "hosts": "a, b",\n    "nodes": 2\n  },\n  "options": {}\n}' >"$2/config.json"''')
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

    def scale(self, *arguments):
        return self.run_command([os.path.join(LAUNCH, "scaling.sh"), "--steps", "4", "--repeats", "1", "--output", self.path("out"),
                                 *arguments])

    def table(self):
        with open(self.path("out", "scaling.csv"), encoding="utf-8") as file:
            lines = file.read().splitlines()
        return [line for line in lines if not line.startswith("#")], [line for line in lines if line.startswith("#")]

    def test_scaling_where_a_comma_is_the_decimal_point(self):
        self.take_decimal_comma()
        outcome = self.scale("--shapes", "1x1 2x1")
        self.assertEqual(outcome.status, 0, outcome.err)
        self.assertEqual(self.table()[0], [
            "mode,ranks,threads,nodes,batch,repeats,images_per_second,least,most,spread_percent,speedup,efficiency,"
            "exchange_ms,exchange_percent",
            "strong,1,1,2,128,1,1.75,1.75,1.75,0.0,1.000,1.000,250.000,12.5",
            "strong,2,1,2,128,1,1.75,1.75,1.75,0.0,1.000,0.500,250.000,12.5",
            "weak,1,1,2,32,1,1.75,1.75,1.75,0.0,1.000,1.000,250.000,12.5",
            "weak,2,1,2,64,1,1.75,1.75,1.75,0.0,1.000,0.500,250.000,12.5"])
        self.assertIn("# hosts: a, b", self.table()[1])

    def test_scaling_over_a_host_file(self):
        """Its slots are counted, each host's load is told where it is high, and mpirun gets the file."""
        with open(self.path("hosts"), "w", encoding="utf-8") as file:
            file.write("# two of them\na slots=3 max_slots=4\n\nb # one slot\n")
        self.environment["MPIRUN"] = script(self.path("mpirun"), rf'''echo "$*" >>"{self.path('words')}"
            case "$*" in *ppr:1:node*) echo "load 3.4 a 3"; echo "load 0.9 b 1"; echo "load 0.4 c 1"; exit ;; esac
            while [ "$1" != "$VGG11_DIST" ]; do shift; done
            exec "$@"''')
        outcome = self.scale("--hostfile", self.path("hosts"))
        self.assertEqual(outcome.status, 0, outcome.err)
        self.assertEqual([line.split(",")[1] for line in self.table()[0][1:]], ["1", "2", "4", "1", "2", "4"])
        self.assertEqual([line.split(" before ")[0] for line in outcome.err.splitlines() if "warning" in line],
                         ["warning: a is busy: load average 3.4", "warning: b is busy: load average 0.9"])
        with open(self.path("words"), encoding="utf-8") as file:
            words = file.read().splitlines()
        self.assertTrue(all(line.startswith(f"--hostfile {self.path('hosts')} ") for line in words), words)
        self.assertIn(" -np 4 --map-by slot:PE=1 ", words[3])

    def stand_in(self, name, text):
        """A program that is found before that of the same name."""
        os.makedirs(self.path("tools"), exist_ok=True)
        script(self.path("tools", name), text)
        if not self.environment["PATH"].startswith(self.path("tools")):
            self.environment["PATH"] = self.path("tools") + os.pathsep + self.environment["PATH"]

    def test_curves_of_the_simulator(self):
        """Its efficiency times what one rank did, at each number of ranks, from its own table or one that is named."""
        with open(self.path("predicted.csv"), "w", encoding="utf-8") as file:
            file.write("ranks,gigabits,strategy,step_s,efficiency\n1,10,node bf16,0.1,1.0\n2,10,node bf16,0.1,0.9\n")
        self.stand_in("gnuplot", f'cat picture.gp >"{self.path("script")}"; cat simulated-node-bf16-10 >"{self.path("curve")}"')
        for name in ["smpicc", "smpirun"]:
            self.stand_in(name, "exit 1")
        self.stand_in("python3", f'echo "${{*:2}}" >"{self.path("words")}"; cp "{self.path("predicted.csv")}" "${{!#}}"')
        for words in [["--simulated", self.path("predicted.csv")], ["--simulate", "10"]]:
            outcome = self.scale("--ranks", "1 2", *words)
            self.assertEqual(outcome.status, 0, outcome.err)
            self.assertIn("picture: " + self.path("out", "scaling.svg"), outcome.out)
            with open(self.path("curve"), encoding="utf-8") as file:
                self.assertEqual(file.read(), "1 1.75\n2 3.15\n")
            os.remove(self.path("curve"))
            with open(self.path("script"), encoding="utf-8") as file:
                text = file.read()
            self.assertEqual([text.count(title) for title in ["title 'ideal'", "yerrorlines", "title 'simulated: node bf16, 10 Gb/s'"]],
                             [2, 2, 1])
        with open(self.path("words"), encoding="utf-8") as file:
            self.assertRegex(file.read(), "--ranks 1,2 --ranks-per-node 2 --links 10 --strategies node --batch 32 --compute-ms 1000 ")

    def test_a_simulator_that_fails(self):
        """Its last words are told, and the measurements are kept."""
        for name in ["smpicc", "smpirun"]:
            self.stand_in(name, "exit 1")
        self.stand_in("python3", "printf 'compiling\\nit is broken\\n\\n'; exit 1")
        outcome = self.scale("--ranks", "1", "--simulate", "10")
        self.assertEqual(outcome.status, 0, outcome.err)
        self.assertIn("no simulated curve: it is broken\n", outcome.out)
        self.assertEqual(len(self.table()[0]), 3)

    def test_without_gnuplot_and_simgrid(self):
        tools = self.path("tools")
        os.mkdir(tools)
        for folder in self.environment["PATH"].split(os.pathsep):
            for name in os.listdir(folder) if os.path.isdir(folder) else []:
                if name not in ["gnuplot", "smpicc"] and not os.path.lexists(os.path.join(tools, name)):
                    os.symlink(os.path.join(folder, name), os.path.join(tools, name))
        self.environment["PATH"] = tools
        outcome = self.scale("--ranks", "1", "--simulate", "10")
        self.assertEqual(outcome.status, 0, outcome.err)
        self.assertIn("no simulated curve: smpicc is missing\nno picture: gnuplot is not installed\n", outcome.out)
        self.assertEqual(sorted(os.listdir(self.path("out"))), ["scaling.csv", "scaling.json"])

    def test_scaling_refuses(self):
        """One line, status 2, and no folder."""
        for words, said in [(["--ranks"], "scaling.sh: --ranks: a value is missing"),
                            (["--ranks", "1 zwei"], "--ranks: expected a whole number from 1 on, not 'zwei'"),
                            (["--threads", "0"], "--threads: expected a whole number from 1 on, not '0'"),
                            (["--shapes", "2"], "scaling.sh: --shapes: expected RANKSxTHREADS, not '2'"),
                            (["--shapes", "1x1", "--ranks", "1"],
                             "scaling.sh: --shapes says ranks and threads itself: leave out --ranks and --threads"),
                            (["--hostfile", "none"], "scaling.sh: --hostfile: 'none' cannot be read"),
                            (["--hostfile", "/dev/null"], "scaling.sh: --hostfile: there is no host in '/dev/null'"),
                            (["--simulate", "fast"], "scaling.sh: --simulate: expected Gb/s, not 'fast'"),
                            (["--simulated", "none"], "scaling.sh: --simulated: 'none' cannot be read")]:
            with self.subTest(words=words):
                outcome = self.scale(*words)
                self.assertEqual((outcome.status, outcome.out, outcome.err), (2, "", said + "\n"))
        self.environment["VGG11_DIST"] = cli.PROGRAM
        outcome = self.scale("--bogus")
        self.assertEqual((outcome.status, outcome.out), (2, ""))
        self.assertRegex(outcome.err, "^vgg11_dist: unknown option 'bogus'.*\n$")
        self.assertFalse(os.path.exists(self.path("out")))
        self.assertRegex(self.scale("--help").out, r"^Usage: launch/scaling.sh .*\n")

    def test_a_list_that_a_loop_reads_is_left_alone(self):
        runs = ["first", "second", "third"]
        loop = f'printf "%s\\n" {" ".join(runs)} | while read -r run; do "{LAUNCH}/local.sh" train --output "$run"; done'
        outcome = self.run_command(["bash", "-c", loop])
        self.assertEqual(outcome.status, 0, outcome.err)
        self.assertEqual([run for run in runs if os.path.exists(self.path(run, "metrics.jsonl"))], runs)


class Scaling(cli.Case):
    def test_one_and_two_ranks(self):
        """Each shape once before any twice; the table's figures are those of the runs."""
        for name in [name for name in self.environment if name.startswith("SLURM_")]:
            del self.environment[name]
        outcome = self.run_command([os.path.join(LAUNCH, "scaling.sh"), "--ranks", "1 2", "--steps", "2", "--repeats", "2", "--batch", "8",
                                    "--batch-per-core", "4", "--output", "out", "--no-tune", "--data", cli.DATA])
        self.assertEqual(outcome.status, 0, outcome.err)
        with open(self.path("out", "scaling.json"), encoding="utf-8") as file:
            result = json.load(file)
        runs = result["runs"]
        shapes = [("strong", 1, 8), ("strong", 2, 8), ("weak", 1, 4), ("weak", 2, 8)]
        self.assertEqual([(run["repeat"], run["mode"], run["ranks"], run["batch"]) for run in runs],
                         [(repeat, *shape) for repeat in [1, 2] for shape in shapes])
        self.assertEqual([run["provenance"]["ranks"] for run in runs], 4 * [1, 2])
        self.assertEqual(sorted(run["provenance"]["time"] for run in runs), [run["provenance"]["time"] for run in runs])
        self.assertIn("scaling.sh --ranks", result["command"])
        for row in result["table"]:
            own = sorted(run["images_per_second"] for run in runs if (run["mode"], run["ranks"]) == (row["mode"], row["ranks"]))
            self.assertEqual(len(own), 2)
            for name, value in [("least", own[0]), ("most", own[1]), ("images_per_second", sum(own) / 2)]:
                self.assertAlmostEqual(row[name], value, delta=0.01)
            self.assertGreaterEqual(row["exchange_ms"], 0)
            self.assertIn(f"{row['least']:.2f}", outcome.out)
        with open(self.path("out", "scaling.csv"), encoding="utf-8") as file:
            names = [line.split(":")[0] for line in file if line.startswith("#")]
        self.assertEqual(names, ["# command", "# version", "# commit", "# hosts", "# processor", "# mpi", "# time"])
        self.assertRegex(outcome.out, r"(?m)^spread of the repeats, most less least: [\d.]+ % of the median at most \((strong|weak), ")
        self.assertEqual(sorted(os.listdir(self.path("out")))[:2], ["scaling.csv", "scaling.json"])


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
