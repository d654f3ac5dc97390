#!/usr/bin/env python3
"""Breaks the program in one place at a time and runs the tests that should notice: what no test notices is a gap, or makes no
difference. It edits the sources of the tree it is given, so give it a copy with a build folder of its own:

    git worktree add ../mutants && cmake -S ../mutants -B ../mutants/build/release -DCMAKE_BUILD_TYPE=Release -DVGG11_TESTS=ON
    tests/mutations/mutate.py run ../mutants results.tsv --guards --random 100
    tests/mutations/mutate.py table results.tsv docs/mutations.md

--guards takes every place that syncs, checks a sum or a bound, locks, agrees or waits for others; --random N takes N places of all
kinds over all rooms. A run that ends early goes on where it stopped. tests.tsv says which tests belong to which sources, cheapest
first; survivors.tsv says of each survivor why it does no harm. Run the tests there once before: how long they took limits how long
they may take. That the tests pass where nothing is broken is seen first. --quick S leaves tests of more than S seconds out, and --tests REGEX
names those to take in place of tests.tsv's; what gets past these stays open, and is tried again by other runs, --open alone or with others.
"""
import argparse
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
FIELDS = ["file", "function", "before", "after", "outcome", "test"]
GUARD = re.compile(r"\w*fsync\w*\(|fdatasync\(|file_sync\w*\(|crc32c\(|_crc\(|comm_agree|barrier\(|node_sync\(|SETLK|mutex_(un)?lock|digest\w*\(|"
                   r"_check\w*\(|O_EXCL|O_NOFOLLOW")
BOUND = re.compile(r"[<>]=? |_MAX\b|[!=]= ")
PARSERS = re.compile(r"src/(data/(idx|byte_stream|png_file)|checkpoint/(read|safetensors|weight_file|folder)|conv/(autotune_cache|choices_text))\.c")
SWAPS = [(" <= ", " < "), (" < ", " <= "), (" >= ", " > "), (" > ", " >= "), (" == ", " != "), (" != ", " == "), (" && ", " || "),
         (" || ", " && "), (" + 1", ""), (" - 1", ""), (" + ", " - "), (" - ", " + "), (" * ", " + "), (" / ", " * "),
         ("true", "false"), ("false", "true"), ("break;", ";")]
LIMIT_S = 60  # of a test, besides the times that it took before
LIMIT_TIMES = 5


def code(line):
    """Without strings and comments, blanked so that columns stay."""
    blank = lambda match: " " * len(match.group())
    return re.sub(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|/\*.*?\*/|//.*', blank, line)


def split_if(line):
    """Of a line that begins with an if: what stands before its condition, the condition, what stands behind."""
    bare = code(line)
    found = re.match(r"^\s*(?:\} else )?if \(", bare)
    depth, at = 1, found.end() if found else len(bare)
    while found and depth > 0 and at < len(bare):
        depth += {"(": 1, ")": -1}.get(bare[at], 0)
        at += 1
    return (line[:found.end()], line[found.end():at - 1], line[at - 1:]) if found and depth == 0 else None


def without_agreement(line):
    """The ranks' own status in place of the one that they agree upon."""
    at = code(line).find("comm_agree(")
    start = code(line).find(",", at)
    return at >= 0 and start >= 0 and line[:at] + "(" + line[start + 1:].lstrip()


def removals(line):
    """A line without the check, the wait or the agreement that it holds."""
    bare = code(line)
    if (own := re.sub(r"\bO_(EXCL|NOFOLLOW) \| ", "", line)) != line:
        yield own
    elif (own := re.sub(r"fcntl\(.*SETLK.*?\)", "0", re.sub(r"\bfsync\((\w+)\)", r"(\1 < 0)", line))) != line:
        yield own
    elif own := without_agreement(line):
        yield own
    elif parts := split_if(line):
        yield parts[0] + "0 && (" + parts[1] + ")" + parts[2]
    elif re.match(r"^\s*(?:VGG_TRY\()?\w+\(.*\)+;$", bare):
        yield re.match(r"^\s*", line)[0] + ";"
    elif found := re.match(r"^(\s*return )(.*\(.*);$", line):
        yield found[1] + "VGG_OK;"


def changes(line):
    """What else can be made of one line of C."""
    bare = code(line)
    if parts := split_if(line):
        yield parts[0] + "!(" + parts[1] + ")" + parts[2]
    elif re.match(r"^\s*\w+\(.*\)+;$", bare):
        yield re.match(r"^\s*", line)[0] + ";"
    for old, new in SWAPS:
        if (at := bare.find(old)) >= 0 and not re.search(r"#|\bfor \(", bare):
            yield line[:at] + new + line[at + len(old):]


def is_guard(path, line):
    bare = code(line)
    if path.startswith("src/bench/") or re.search(r"free\(|close\(|_clear\(|EINTR", bare):
        return False
    return bool(GUARD.search(bare)) or bool(PARSERS.match(path) and split_if(line) and BOUND.search(split_if(line)[1]))


def candidates(tree):
    """Of every mutation there is: whether it takes away a guard; file, line number, function, before and after."""
    for folder, _, names in sorted(os.walk(os.path.join(tree, "src"))):
        for name in sorted(names):
            if not name.endswith((".c", ".inc.h")):
                continue
            path = os.path.relpath(os.path.join(folder, name), tree)
            function, inside = "", False
            with open(os.path.join(tree, path), encoding="utf-8") as file:
                for number, line in enumerate(file.read().split("\n")):
                    if found := re.match(r"^[A-Za-z].*?(\w+)\(", line):
                        function = found[1]
                    inside = (inside or line.lstrip().startswith("/*")) and "*/" not in line
                    if inside or not line.startswith("    ") or '*/' in line:
                        continue
                    guard = is_guard(path, line)
                    for after in (removals if guard else changes)(line):
                        yield guard, (path, number, function, line, after)


def spread(all_of_them, count, seed):
    """`count` of them, each room in turn, so that large rooms do not crowd out the small."""
    draw = random.Random(seed)
    rooms = {}
    for one in all_of_them:
        rooms.setdefault(one[0].split("/")[1], []).append(one)
    for room in rooms.values():
        draw.shuffle(room)
    chosen = []
    while len(chosen) < count and any(rooms.values()):
        for name in sorted(rooms):
            if rooms[name] and len(chosen) < count:
                chosen.append(rooms[name].pop())
    return chosen


class Suite:
    """The tests that CTest knows, and how each is run."""

    def __init__(self, build, longest_s, named):
        self.build, self.longest_s, self.named = os.path.abspath(build), longest_s, named
        listed = subprocess.run(["ctest", "--test-dir", build, "--show-only=json-v1"], capture_output=True, text=True, check=True)
        self.tests = {test["name"]: test for test in json.loads(listed.stdout)["tests"] if "command" in test}
        self.costs, self.sound = {}, set()
        costs = os.path.join(build, "Testing/Temporary/CTestCostData.txt")
        if os.path.exists(costs):
            with open(costs, encoding="utf-8") as file:
                self.costs = {words[0]: float(words[2]) for words in map(str.split, file) if len(words) == 3}
        with open(os.path.join(HERE, "tests.tsv"), encoding="utf-8") as file:
            self.rows = [line.rstrip("\n").split("\t") for line in file if line.strip() and not line.startswith("#")]

    def of(self, path):
        """Of the first row that fits, in its order; none that is too long."""
        if self.named:
            return [name for name in self.tests if re.fullmatch(self.named, name)]
        for prefix, *patterns in self.rows:
            if re.match(prefix, path):
                return [name for pattern in patterns for name in self.tests
                        if re.fullmatch(pattern, name) and self.costs.get(name, LIMIT_S) <= self.longest_s]
        raise SystemExit(f"tests.tsv has no row for {path}")

    def programs(self, names):
        """Of this build, that they start."""
        words = [word.rpartition("=")[2] for name in names for word in self.tests[name]["command"]]
        return sorted({os.path.basename(word) for word in words if word.startswith(self.build + "/") and not word.endswith(".py")})

    def build_all(self, names):
        return subprocess.run(["cmake", "--build", self.build, "-j2", "--target", *self.programs(names)], capture_output=True).returncode == 0

    def passes(self, name):
        test = self.tests[name]
        environment, folder, said = dict(os.environ), self.build, None
        for entry in test["properties"]:
            if entry["name"] == "ENVIRONMENT":
                environment.update(word.split("=", 1) for word in entry["value"])
            elif entry["name"] == "WORKING_DIRECTORY":
                folder = entry["value"]
            elif entry["name"] == "PASS_REGULAR_EXPRESSION":
                said = "|".join(entry["value"])
        limit_s = int(LIMIT_S + LIMIT_TIMES * self.costs.get(name, LIMIT_S))
        environment["VGG11_TEST_LIMIT_S"] = str(limit_s)
        output = subprocess.DEVNULL if said is None else subprocess.PIPE
        process = subprocess.Popen(test["command"], cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            text = process.communicate(timeout=limit_s + 60)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return False
        return process.returncode == 0 if said is None else re.search(said, text.decode(errors="replace")) is not None

    def require_sound(self, path):
        """Sees that the tests of a source pass where it is not broken: else they would notice anything. Each is run once."""
        names = [name for name in self.of(path) if name not in self.sound]
        if names and not self.build_all(names):
            raise SystemExit(f"the tests of {path} cannot be built")
        for name in names:
            if not self.passes(name):
                raise SystemExit(f"{name} fails where nothing is broken")
            self.sound.add(name)

    def judge(self, path):
        names = self.of(path)
        if not self.build_all(names):
            return "no program", ""
        for name in names:
            if not self.passes(name):
                return "noticed", name
        return "survived" if self.longest_s == math.inf and not self.named else "open", " ".join(names)


def replace_line(path, number, text):
    with open(path, encoding="utf-8") as file:
        lines = file.read().split("\n")
    lines[number] = text
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))


def read_results(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return [dict(zip(FIELDS, line.rstrip("\n").split("\t"))) for line in file]


def read_reasons():
    """Why survivors do no harm, by the first four fields of their results."""
    with open(os.path.join(HERE, "survivors.tsv"), encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file if line.strip() and not line.startswith("#")]
    return {tuple(row[:4]): row[4] for row in rows}


def key_of(row):
    return tuple(row[field] for field in FIELDS[:4])


def key_at(place):
    path, _, function, before, after = place
    return path, function, before.strip(), after.strip()


def last_results(path):
    """By mutation: of those that were tried again, the last."""
    return {key_of(row): row for row in read_results(path)}


def is_settled(row, options):
    return row["outcome"] != "open" or (options.quick < math.inf and not options.tests)


def run(options):
    changed = subprocess.run(["git", "-C", options.tree, "status", "--porcelain", "src"], capture_output=True, text=True, check=True).stdout
    if changed:
        raise SystemExit(f"{options.tree} is not as it was committed; is another at work there?\n{changed}")
    tree, suite = os.path.abspath(options.tree), Suite(os.path.join(options.tree, "build/release"), options.quick, options.tests)
    found = [one for one in candidates(tree) if re.search(options.only, one[1][0])]
    chosen = [place for guard, place in found if guard and options.guards]
    chosen += spread([place for guard, place in found if not guard], options.random, options.seed)
    results, reasons = last_results(options.results), read_reasons()
    open_ones = {key for key, row in results.items() if row["outcome"] == "open" and key not in reasons}
    chosen += [place for _, place in found if options.open and key_at(place) in open_ones]
    chosen = list(dict.fromkeys(chosen))
    known = {key for key, row in results.items() if is_settled(row, options)}
    for count, place in enumerate(chosen, 1):
        path, number, function, before, after = place
        key = key_at(place)
        if key in known:
            continue
        suite.require_sound(path)
        begin, source = time.monotonic(), os.path.join(tree, path)
        replace_line(source, number, after)
        try:
            outcome, test = suite.judge(path)
        finally:
            replace_line(source, number, before)
        with open(options.results, "a", encoding="utf-8") as file:
            file.write("\t".join([*key, outcome, test]) + "\n")
        print(f"{count}/{len(chosen)} {path} {function}: {outcome} {test[:60]} ({time.monotonic() - begin:.0f} s)", flush=True)


def table(options):
    reasons = read_reasons()
    rows = [row for row in last_results(options.results).values() if row["outcome"] != "no program"]
    lost = [row for row in rows if row["outcome"] != "noticed"]
    unknown = [row for row in lost if key_of(row) not in reasons]
    cell = lambda text: "`" + text.replace("|", "\\|") + "`"
    with open(options.page, "w", encoding="utf-8") as file:
        file.write("# Mutations\n\nMade by `tests/mutations/mutate.py table`: the program broken in one place at a time, and the test that "
                   f"noticed.\n\nOf {len(rows)} mutations {len(rows) - len(lost)} were noticed; {len(lost) - len(unknown)} do no harm, for the reason "
                   f"in the last column; {len(unknown)} got past the tests that they were tried with, quick ones, and wait for the others of "
                   "`tests.tsv`.\n\n| where | from | to | noticed by |\n| --- | --- | --- | --- |\n")
        for row in rows:
            told = f"`{row['test']}`" if row["outcome"] == "noticed" else reasons.get(key_of(row), "open")
            file.write(f"| {row['file'][len('src/'):]} {row['function']} | {cell(row['before'])} | {cell(row['after'])} | {told} |\n")
    print(f"{len(rows)} mutations, {len(lost)} survivors, {len(unknown)} of them without a reason")


def main():
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that the source is put back
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("run", help="mutate and test")
    one.add_argument("tree", help="a copy of the sources with a build in build/release")
    one.add_argument("results", help="file of results, which is gone on with")
    one.add_argument("--guards", action="store_true", help="all that syncs, checks, locks, agrees or waits")
    one.add_argument("--random", type=int, default=0, metavar="N", help="N of the others, over all rooms")
    one.add_argument("--open", action="store_true", help="what got past the tests that it was tried with, and has no reason in survivors.tsv")
    one.add_argument("--seed", type=int, default=1)
    one.add_argument("--quick", type=float, default=math.inf, metavar="S", help="only with tests of at most so many seconds")
    one.add_argument("--tests", default="", metavar="REGEX", help="only with tests whose whole name matches")
    one.add_argument("--only", default="", metavar="REGEX", help="sources whose path matches")
    one.set_defaults(command=run)
    one = commands.add_parser("table", help="write the page")
    one.add_argument("results")
    one.add_argument("page")
    one.set_defaults(command=table)
    options = parser.parse_args()
    options.command(options)


if __name__ == "__main__":
    sys.exit(main())
