"""What the program says of itself: a first screen, a man page, and what bash completes."""
import os
import re
import shutil
import subprocess
import unittest

import cli


def complete(folder, script, *words):
    """What bash offers for the last of the words, which it has cut as it cuts a line."""
    text = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _vgg11_dist; printf "%s\\n" "${COMPREPLY[@]}"'
    result = subprocess.run(["bash", "--norc", "-uc", text, "bash", script, "vgg11_dist", *words], cwd=folder, check=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return [line for line in result.stdout.split("\n") if line], result.stderr


class Case(cli.Case):
    def told(self, *words):
        """Without MPI, which a bare environment keeps from starting."""
        outcome = self.run_command(["env", "-i", cli.PROGRAM, *words])
        self.assertEqual((outcome.status, outcome.err), (0, ""))
        return outcome.out

    def options(self, *command):
        return set(re.findall(r"(?m)^  (?:-\w, )?(--[\w-]+)", self.told(*command, "--help")))


class Screen(Case):
    def test_first_screen(self):
        """It has examples that can be typed as they are, and all commands."""
        first = self.told("-h")
        self.assertLess(len(first.splitlines()), 40)
        self.assertGreaterEqual(len(re.findall(r"(?m)^  (?:mpirun .*)?vgg11_dist ?.*$", first)), 3)
        self.assertRegex(self.told("-V"), r"^vgg11_dist \d+\.\d+\.\d+\n$")


class Man(Case):
    def check(self, tool, *words):
        if not shutil.which(tool):
            self.skipTest(f"{tool} is not installed")
        page = self.path("vgg11_dist.1")
        with open(page, "w", encoding="utf-8") as file:
            file.write(self.told("--help=man"))
        self.environment.update(LC_ALL="C.UTF-8", MANWIDTH="120", MANROFFOPT="", MAN_KEEP_FORMATTING="")
        outcome = self.run_command([tool, *words, page])
        self.assertEqual((outcome.status, outcome.err), (0, ""), outcome.out)
        return outcome.out

    def test_roff(self):
        text = self.check("man", "--warnings", "-l")
        for option in set().union(*(self.options(command) for command in ["train", "eval", "predict", "show", "doctor", "bench"])):
            self.assertRegex(text, rf"(?m)^ {{7}}(-\w, )?{option}( |$)")
        for part in ["NAME\n", "EXIT STATUS\n", "mpirun -np 8 vgg11_dist\n", "~/.cache/vgg11_dist/plans.tsv\n", "  75 ", "  overlap\n"]:
            self.assertIn(part, text)

    def test_mandoc(self):
        self.assertEqual(self.check("mandoc", "-T", "lint"), "")


class Bash(Case):
    def setUp(self):
        super().setUp()
        self.script = self.path("script")
        with open(self.script, "w", encoding="utf-8") as file:
            file.write(self.told("--help=bash"))
        for folder in ["a folder", "checks"]:
            os.mkdir(self.path(folder))
        with open(self.path("check point"), "w", encoding="utf-8"):
            pass

    def offered(self, *words):
        values, said = complete(self.folder, self.script, *words)
        self.assertEqual(said, "")
        return set(values)

    def expected(self, option):
        outcome = self.run_command([cli.PROGRAM, option, "no such value"])
        return set(re.search("expected one of (.*)$", outcome.err).group(1).split(", "))

    def test_registered(self):
        outcome = self.run_command(["bash", "--norc", "-c", f'source "{self.script}"; complete -p vgg11_dist'])
        self.assertEqual((outcome.status, outcome.out), (0, "complete -F _vgg11_dist vgg11_dist\n"), outcome.err)

    def test_commands_and_their_options(self):
        commands = self.offered("")
        listed = self.run_command([cli.PROGRAM, "--help"]).out.split("Commands (")[1].split("\n\n")[0]
        self.assertIn("train", commands)
        self.assertEqual(commands, set(re.findall(r"^  (\w+) ", listed, re.MULTILINE)))
        for command in commands:
            self.assertEqual(self.offered(command, "--"), self.options(command))
        self.assertEqual(self.offered("--"), self.options("train"))
        self.assertEqual(self.offered("--quiet", "ev"), {"eval"})
        self.assertIn("--png", self.offered("--config", "eval", "show", "--p"))

    def test_values(self):
        for option in ["--init", "--preset", "--exchange", "--augment", "--precision", "--progress"]:
            with self.subTest(option=option):
                values = self.expected(option)
                self.assertEqual(self.offered(option, ""), values)
                self.assertEqual(self.offered("train", option, "=", ""), values)
                self.assertEqual(self.offered("train", option, "="), values)
                self.assertEqual(self.offered(option + "="), {f"{option}={value}" for value in values})
        self.assertEqual(self.offered("--exchange", "ov"), {"overlap"})
        self.assertLessEqual({"auto", "im2col", "reference"}, self.offered("eval", "--conv", ""))
        self.assertEqual(self.offered("--help", "=", "ma"), {"man"})
        self.assertEqual(self.offered("--batch-size", ""), set())

    def test_files_and_folders(self):
        self.assertEqual(self.offered("eval", "--checkpoint", "che"), {"check point", "checks"})
        self.assertEqual(self.offered("--config=che"), {"--config=check point", "--config=checks"})
        self.assertEqual(self.offered("--output", "che"), {"checks"})
        self.assertEqual(self.offered("--data", "=", "a"), {"a folder"})
        self.assertEqual(self.offered("--resume", "a"), {"a folder", "auto"})
        self.assertEqual(self.offered("--exchange", "node", "predict", "che"), {"check point", "checks"})
        self.assertEqual(self.offered("--resume", "run", "che"), set())


if __name__ == "__main__":
    unittest.main()
