#!/usr/bin/env python3
"""The table of faults: what is promised for each, which tests hold the promise, and what they last gave.

  fault_table.py check BUILD           each row has tests among those that ctest knows, or says why it has none
  fault_table.py write BUILD FILE      the table as Markdown; results from BUILD/faults.xml, which
                                       `ctest --test-dir BUILD -L fault --output-junit faults.xml` writes
"""
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


def known_tests(build):
    listed = subprocess.run(["ctest", "--test-dir", build, "--show-only=json-v1"], check=True, capture_output=True, text=True).stdout
    tests = {}
    for test in json.loads(listed)["tests"]:
        labels = next((entry["value"] for entry in test.get("properties", []) if entry["name"] == "LABELS"), [])
        tests[test["name"]] = labels
    return tests


def tests_of(number, tests):
    return sorted(name for name, labels in tests.items() if f"fault-{number}" in labels)


def check(build):
    tests = known_tests(build)
    rows = list(read_rows())
    wrong = [f"row {number} is missing" for number in range(1, 43) if number not in {row[0] for row in rows}]
    for number, _, _, pattern, why in rows:
        found = tests_of(number, tests)
        if pattern and not found:
            wrong.append(f"row {number}: no test is called {pattern}")
        if not pattern and (found or not why):
            wrong.append(f"row {number}: has tests, or no reason for having none")
    print("\n".join(wrong) or f"{len(rows)} rows")
    return not wrong


def last_results(build):
    path = pathlib.Path(build) / "faults.xml"
    if not path.exists():
        return {}
    cases = xml.etree.ElementTree.parse(path).getroot().iter("testcase")
    return {case.get("name"): {"run": "passed", "fail": "failed"}.get(case.get("status"), "not run") for case in cases}


def result_of(names, results):
    found = [results.get(name, "not run") for name in names]
    counts = {word: found.count(word) for word in ["passed", "failed", "not run"]}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)


def shortened(names):
    """app_x-np1, app_x-np2 -> app_x."""
    return ", ".join(f"`{name}`" for name in dict.fromkeys(re.sub(r"-(np\d+|nodes-.*)$", "", name) for name in names))


def write(build, path):
    tests, results = known_tests(build), last_results(build)
    lines = ["# Faults", "", "Made by `tests/faults/fault_table.py write`; the rows are in `tests/faults/faults.tsv`. `ctest -L fault-17` runs the tests of row 17,",
             "`ctest -L fault` those of all rows.", "", "| # | fault | promise | tests | last result |", "| --- | --- | --- | --- | --- |"]
    for number, fault, promise, pattern, why in read_rows():
        names = tests_of(number, tests)
        lines.append(f"| {number} | {fault} | {promise} | {shortened(names) if pattern else why} | "
                     f"{result_of(names, results) if pattern else '-'} |")
    pathlib.Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    words = sys.argv[1:]
    if len(words) == 2 and words[0] == "check":
        sys.exit(0 if check(words[1]) else 1)
    if len(words) == 3 and words[0] == "write":
        write(*words[1:])
    else:
        sys.exit(__doc__)
