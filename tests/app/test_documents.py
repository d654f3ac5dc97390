"""Every command that README.md and the pages beside it show is run or accounted for, and the output they show is what comes.

Blocks are fenced: `sh` holds commands, `text` what those before it print, `console` both, commands behind `$`. Each line of
commands is run in a folder that looks like the source tree, with stand-ins for what takes hours or changes the machine, see
`STAND_INS`: the program with less to do, dpkg-query, which says that all packages are there, and cmake, which builds nothing. Blocks
that are not run are in `NOT_RUN`. All, these too, are searched for options, presets and files that there are not.
"""
import functools
import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import unittest

import cli

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PAGES = ["README.md", "CONTRIBUTING.md",
         *sorted(os.path.relpath(page, ROOT) for page in glob.glob(os.path.join(ROOT, "docs", "*.md")))]
LANGUAGES = {"sh", "console", "text", "python"}

# Page, first line of the block, and why it is not run.
NOT_RUN = [
    ("README.md", "launch/setup.sh && ctest --preset release", "runs all tests, this one too"),
    ("CONTRIBUTING.md", "ctest --preset release                       # all but the long tier", "runs all tests, this one too"),
    ("CONTRIBUTING.md", "mpirun -np 1 gdb -ex run --args build/debug/src/app/vgg11_dist train --max-steps 3 --hang-timeout 0 \\",
     "waits in a debugger for a person"),
    ("docs/clusters.md",
     "sbatch --nodes=4 --ntasks-per-node=8 --exclusive --wrap 'launch/scaling.sh --repeats 5 --output scaling'",
     "needs a cluster; app_slurm_scaling has one of two nodes"),
    ("docs/clusters.md", "module use /apps/vgg11_dist/1.0.0/share/modulefiles",
     "needs a cluster and modules; app_slurm has the batch script"),
    ("docs/install.md",
     "cmake -S . -B build -DVGG11_TESTS=OFF && cmake --build build --parallel && cmake --install build --prefix ~/.local",
     "builds and installs; install_Prefix does"),
    ("docs/install.md", "cd build && cpack -G DEB && sudo apt-get install ./vgg11-dist_1.0.0_amd64.deb",
     "installs on this machine; install_Package unpacks it"),
    ("docs/reliability.md", "cmake --preset fuzz && cmake --build --preset fuzz", "builds with another compiler, and takes an hour"),
    ("docs/reliability.md", "ctest --preset all -L fault --output-junit faults.xml", "runs the tests of all faults"),
    ("docs/why-10-percent.md", "bench/why_10_percent.py --into docs/why-10-percent.md",
     "trains for ten minutes, and rewrites the page"),
]

# What is found before the programs of these names. That for vgg11_dist makes runs short: it adds options where they are not given.
STAND_INS = {
    "vgg11_dist": r'''
        add() { case " ${words[*]} " in *" $1 "*) ;; *) words+=("$@") ;; esac; }
        words=("$@")
        case ${1:-train} in
            train | -*) add --train-samples 64; add --test-samples 100; add --batch-size 32; add --epochs 4; add --keep 1 ;;
            doctor) add --batch-size 8 ;;
        esac
        exec "$PROGRAM_OF_THE_TEST" "${words[@]}"''',
    "mpirun": 'exec "$MPIRUN_OF_THE_TEST" --oversubscribe "$@"',
    "dpkg-query": "echo installed",
    "cmake": "exit 0",
}
STATUS = {"doctor": 10}  # of commands that end with another one than 0: it finds what the page says

# In a sample and in what came, each of these is the same whatever the machine.
MASKS = [(r"; buckets of \d+ MiB \(timed\)", ""),  # where the timings choose overlap
         (r"\d+(?:[.,:]\d+)*(?:e-?\d+)?", "#"),
         (r"\b(node|overlap|allreduce)\b", "EXCHANGE"), (r" \(best\)", ""), (r"\bthreads\b", "thread")]
# Lines that come or not, as the machine is slow, new to the program, or small; a sample may have them, in their right form.
OCCASIONAL = r"epoch #/#  step #/#  |timing the algorithms for this machine; |vgg11_dist: warning: "


class Block:
    def __init__(self, page, line, language, lines):
        self.page, self.line, self.language, self.lines = page, line, language, lines

    def place(self):
        return f"{self.page}:{self.line}"

    def commands(self):
        """Whole command lines: what ends in a backslash goes on."""
        lines = self.lines if self.language == "sh" else [line[2:] for line in self.lines if line.startswith("$ ")]
        return re.sub(r"\\\n\s*", "", "\n".join(lines)).split("\n")

    def sections(self):
        """Of a console, what each command prints."""
        found = []
        for line in self.lines:
            if line.startswith("$ "):
                found.append([])
            else:
                found[-1].append(line)
        return found


def read(page):
    with open(os.path.join(ROOT, page), encoding="utf-8") as file:
        return file.read()


def blocks(page):
    found, block = [], None
    for number, line in enumerate(read(page).splitlines(), 1):
        fence = re.match(r"( *)```(.*)$", line)
        if fence and block is None:
            indent, block = len(fence.group(1)), Block(page, number, fence.group(2), [])
        elif fence:
            found.append(block)
            block = None
        elif block is not None:
            block.lines.append(line[indent:])
    return found


def is_listed(block):
    return any((block.page, block.lines[0]) == entry[:2] for entry in NOT_RUN)


@functools.lru_cache(None)
def options_of(*command):
    text = subprocess.run([*command, "--help"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    return frozenset(re.findall(r"(?<![\w-])--[a-z][\w-]*", text))


def options_in_source(path):
    """Of a script and the modules beside it that it imports: some need packages to be started at all."""
    text, folder = read(path), os.path.dirname(path)
    beside = [f"{folder}/{name}.py" for name in re.findall(r"(?m)^(?:import|from) (\w+)", text)]
    texts = [text] + [read(module) for module in beside if os.path.exists(os.path.join(ROOT, module))]
    return {option for text in texts for option in re.findall(r'add_argument\((?:"-\w", )?"(--[\w-]+)"', text)}


@functools.lru_cache(None)
def presets(kind):
    return {preset["name"] for preset in json.loads(read("CMakePresets.json"))[kind]}


def split(line):
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    return list(words)


def program_options(word, following):
    """The options of a program of ours; None if it is none."""
    if os.path.basename(word) == "vgg11_dist":
        command = following[0] if following and re.fullmatch("[a-z]+", following[0]) else "train"
        return options_of(cli.PROGRAM, command) | {"--version", "--help"}
    path = re.sub(r"^\$VGG11_TREE/", "", word)
    if path == "launch/setup.sh":
        return set(re.findall(r"--packages-only", read(path)))
    if path.startswith("launch/"):
        return options_of(os.path.join(ROOT, path)) | options_of(cli.PROGRAM, "train")
    if path.endswith(".py"):
        return options_in_source(path)
    return None


def wrong_words(line):
    """Options, presets and files of this project that a command line names and that there are not."""
    wrong, options, tool, words = [], None, None, split(line)
    for i, word in enumerate(words):
        path = re.sub(r"^\$VGG11_TREE/", "", word)
        if re.match(r"(launch|tests|bench|docs|src)/[\w./-]+$", path) and not os.path.exists(os.path.join(ROOT, path)):
            wrong.append(word)
        elif re.fullmatch(r"[;&|:]+", word):
            options = tool = None
        elif " " in word and re.search(r"launch/|vgg11_dist", word):
            wrong += wrong_words(word)
        elif re.match(r"(\$VGG11_TREE/)?launch/|.*\.py$|(.*/)?vgg11_dist$", word):
            options = program_options(word, words[i + 1:])
        elif word in ("cmake", "ctest"):
            tool = word
        elif tool and word == "--preset":
            kind = "testPresets" if tool == "ctest" else "buildPresets" if "--build" in words[:i] else "configurePresets"
            wrong += [words[i + 1]] * (words[i + 1] not in presets(kind))
        elif tool and word.startswith("-DVGG11_") and word[2:].split("=")[0] not in read("CMakeLists.txt"):
            wrong.append(word)
        elif options is not None and word.startswith("--") and word.split("=")[0] not in options:
            wrong.append(word)
    return wrong


class Words(unittest.TestCase):
    def test_languages(self):
        """Nothing that looks like commands escapes the other tests."""
        for page in PAGES:
            for block in blocks(page):
                self.assertIn(block.language, LANGUAGES, block.place())
            prose = re.sub(r"(?ms)^ *```.*?^ *```$", "", read(page))
            self.assertNotRegex(prose, r"\n\n    \S", f"{page}: a block that is indented in place of fenced")

    def test_list(self):
        """No entry without a block."""
        there = [(block.page, block.lines[0]) for page in PAGES for block in blocks(page) if block.language in ("sh", "console")]
        for page, line, reason in NOT_RUN:
            self.assertEqual(there.count((page, line)), 1, f"NOT_RUN has a block that is not in {page}: {line}")
            self.assertTrue(reason)

    def test_blocks_name_what_there_is(self):
        for page in PAGES:
            for block in blocks(page):
                for line in block.commands() if block.language in ("sh", "console") else []:
                    self.assertEqual(wrong_words(line), [], f"{block.place()}: {line}")

    def test_commands_in_sentences(self):
        """Inline code that begins with one of our programs."""
        found = 0
        for page in PAGES:
            prose = re.sub(r"(?ms)^ *```.*?^ *```$", "", read(page))
            for code in re.findall(r"`((?:mpirun [^`]*)?(?:vgg11_dist|launch/[\w.]+|bench/[\w.]+|ctest|cmake) [^`]*)`", prose):
                found += 1
                self.assertEqual(wrong_words(re.sub(r"\s+", " ", code).replace("'", "")), [], f"{page}: {code}")
        self.assertGreater(found, 20)

    def test_options_in_tables(self):
        """The first column of a table whose head says so."""
        commands = ["train", "eval", "export", "predict", "show", "bench"]
        known = frozenset().union(*(options_of(cli.PROGRAM, command) for command in commands))
        named = re.findall(r"(?m)^\| `--.*?\|", read("README.md") + read("docs/usage.md"))
        self.assertGreater(len(named), 20)
        for cell in named:
            for option in re.findall(r"`(--[\w-]+)", cell):
                self.assertIn(option, known)


def masked(lines):
    text = "\n".join(lines)
    for pattern, word in MASKS:
        text = re.sub(pattern, word, text)
    return text.split("\n")


def pattern_of(lines):
    """A line of dots stands for any lines, dots in a line for any words."""
    return "".join(r"(?:.*\n)*?" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + "\n" for line in lines)


class Run(cli.Case):
    def setUp(self):
        super().setUp()
        for name in ["launch", "bench", "data", "CMakePresets.json"]:
            os.symlink(os.path.join(ROOT, name), self.path(name))
        for folder in ["tools", "build/release/src/app"]:
            os.makedirs(self.path(folder))
        for name, text in STAND_INS.items():
            with open(self.path("tools", name), "w", encoding="utf-8") as file:
                file.write("#!/usr/bin/env bash\n" + text + "\n")
            os.chmod(self.path("tools", name), 0o755)
        shutil.copy(self.path("tools", "vgg11_dist"), self.path("build/release/src/app"))
        for name in ["VGG11_DIST", "MPIRUN"]:
            self.environment.pop(name, None)
        self.environment.update(PATH=self.path("tools") + os.pathsep + self.environment["PATH"], VGG11_DATA=cli.DATA,
                                PROGRAM_OF_THE_TEST=cli.PROGRAM, MPIRUN_OF_THE_TEST=shutil.which(cli.MPIRUN))
        self.has_hdf5 = "HDF5" in json.loads(self.run_command([cli.PROGRAM, "info", "--json"]).out)["libraries"]

    def run_line(self, line, place):
        outcome = self.run_command(["bash", "-uc", line])
        command = re.search(r"vgg11_dist (\w+)", line)
        expected = STATUS.get(command and command.group(1), 0)
        self.assertEqual(outcome.status, expected, f"{place}: {line}\n{outcome.out}{outcome.err}")
        return outcome.out.splitlines() + outcome.err.splitlines()

    def compare(self, sample, came, place):
        sample, came = masked(sample), masked(came)
        for line in came:
            if re.match(OCCASIONAL, line) and any(re.match(OCCASIONAL, other) and other[:12] == line[:12] for other in sample):
                self.assertIn(line, sample, place)
        sample, came = ([line for line in lines if line and not re.match(OCCASIONAL, line)] for lines in (sample, came))
        self.assertTrue(re.fullmatch(pattern_of(sample), "".join(line + "\n" for line in came)),
                        f"{place}: the sample is not what comes; numbers apart, it has\n  " + "\n  ".join(sample) +
                        "\nand there came\n  " + "\n  ".join(came))

    def follow(self, page):
        """Runs a page from its beginning to its end, and compares."""
        came = None
        for block in blocks(page):
            if block.language in ("sh", "console"):
                came = None if is_listed(block) else [self.run_line(line, block.place()) for line in block.commands()
                                                      if self.has_hdf5 or not re.search(r"--format keras|\.h5\b", line)]
            if block.language == "console" and came is not None:
                for sample, lines in zip(block.sections(), came):
                    self.compare(sample, lines, block.place())
            if block.language == "text" and came is not None:
                self.compare(block.lines, came[-1], block.place())

    def test_pages(self):
        self.run_line("vgg11_dist train --epochs 1 --output RUN --no-tune", "the run that pages go on with")
        for page in PAGES:
            with self.subTest(page=page):
                self.follow(page)


if __name__ == "__main__":
    unittest.main()
