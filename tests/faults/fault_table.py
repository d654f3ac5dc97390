#!/usr/bin/env python3
"""The table of faults: what is promised for each, which tests hold the promise, and what they last gave.

  fault_table.py check BUILD TABLE           each row has tests among those that ctest knows, or says why it has none;
                                             and TABLE, which was written, has the same rows
  fault_table.py write BUILD TABLE JUNIT...  the table as Markdown, with results from files that
                                             `ctest --test-dir BUILD -L fault --output-junit JUNIT` writes; a later one wins
"""
import datetime
import functools
import json
import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree

HERE = pathlib.Path(__file__).resolve().parent


def read_rows():
    """(number, fault, promise, pattern of tests' names or None, why there are none)"""
    for line in (HERE / "faults.tsv").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            number, fault, promise, tests = line.split("\t")
            none = tests.startswith("none: ")
            yield int(number), fault, promise, None if none else tests, tests[len("none: "):] if none else ""


@functools.lru_cache
def known_tests(build):
    listed = subprocess.run(["ctest", "--test-dir", build, "--show-only=json-v1"], check=True, capture_output=True, text=True).stdout
    tests = {}
    for test in json.loads(listed)["tests"]:
        labels = next((entry["value"] for entry in test.get("properties", []) if entry["name"] == "LABELS"), [])
        tests[test["name"]] = labels
    return tests


def tests_of(number, tests):
    return sorted(name for name, labels in tests.items() if f"fault-{number}" in labels)


def cells(*words):
    return "| " + " | ".join(str(word).replace("|", "\\|") for word in words) + " |"


def begins_of_rows(rows):
    """What of the written table is not a result."""
    return [cells(number, fault, promise) for number, fault, promise, _, _ in rows]


def stale_rows(rows, table):
    written = [line for line in pathlib.Path(table).read_text(encoding="utf-8").splitlines() if re.match(r"\| \d", line)]
    begins = begins_of_rows(rows)
    if len(written) != len(begins):
        return [f"{table} has {len(written)} rows"]
    return [f"{table} says otherwise: {line}" for begin, line in zip(begins, written) if not line.startswith(begin)]


def check(build, table):
    tests = known_tests(build)
    rows = list(read_rows())
    wrong = [f"row {number} is missing" for number in range(1, 43) if number not in {row[0] for row in rows}]
    for number, _, _, pattern, why in rows:
        found = tests_of(number, tests)
        if pattern and not found:
            wrong.append(f"row {number}: no test is called {pattern}")
        if not pattern and (found or not why):
            wrong.append(f"row {number}: has tests, or no reason for having none")
    wrong += stale_rows(rows, table)
    print("\n".join(wrong) or f"{len(rows)} rows")
    return not wrong


def read_results(paths):
    """{name of a test: what it gave}, of those that were run"""
    results = {}
    for path in paths:
        for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
            given = {"run": "passed", "fail": "failed"}.get(case.get("status"))
            if given:
                results[case.get("name")] = given
    return results


def result_of(names, results):
    found = [results.get(name, "not run") for name in names]
    counts = {word: found.count(word) for word in ["passed", "failed", "not run"]}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)


def shortened(names):
    """app_x-np1, app_x-np2 -> app_x."""
    return ", ".join(f"`{name}`" for name in dict.fromkeys(re.sub(r"-(np\d+|nodes-.*)$", "", name) for name in names))


def write(build, table, junit):
    tests, results, rows = known_tests(build), read_results(junit), list(read_rows())
    held = sorted(name for name, labels in tests.items() if "fault" in labels)
    lines = ["# Faults", "", "Made by `tests/faults/fault_table.py write`; the rows are in `tests/faults/faults.tsv`. `ctest -L fault-17` runs",
             "the tests of row 17, `ctest -L fault` those of all rows.", "",
             f"Of {len(held)} tests, results of {datetime.date.today()}: {result_of(held, results)}.", "",
             cells("#", "fault", "promise", "tests", "last result"), cells(*["---"] * 5)]
    for begin, (number, _, _, pattern, why) in zip(begins_of_rows(rows), rows):
        names = tests_of(number, tests)
        lines.append(begin + cells(shortened(names) if pattern else why, result_of(names, results) if pattern else "-")[1:])
    pathlib.Path(table).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    words = sys.argv[1:]
    if len(words) == 3 and words[0] == "check":
        sys.exit(0 if check(*words[1:]) else 1)
    if len(words) > 3 and words[0] == "write":
        write(words[1], words[2], words[3:])
    else:
        sys.exit(__doc__)
