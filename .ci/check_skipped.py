#!/usr/bin/env python3
"""Fails where a test was skipped without being on the list below: what nothing runs, nobody misses.

usage: check_skipped.py JUNIT_FILE   (`ctest --preset release` writes build/release/junit.xml)
"""
import re
import sys
import xml.etree.ElementTree

# Patterns of a test's name and of the reason that it gives, and why that may be so where this runs.
ALLOWED = [
    (r"hosts_.*", r".*", "network namespaces are not allowed in every container"),
    (r"app_launch", r".*", "a container may hold fewer cores than the machine, and a bare system no locale with a decimal comma"),
    (r"app_limits_.*", r"no file systems of a test's own: .*", "mounts are not allowed in every container"),
    (r".*-np1", r"says nothing that it does not say at several ranks",
     "the test of the same class at several ranks has it"),
    (r".*-np1", r"needs ranks", "the test of the same class at several ranks has it"),
    (r".*", r"root reads everything", "the checks may be run by root"),
    (r".*", r"a build with HDF5", "for builds without it"),
]


def skipped_cases(path):
    """Names and reasons: of whole tests, and of those whose Python cases were skipped in part."""
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        output = case.findtext("system-out") or ""
        if case.get("status") in ("notrun", "disabled") or case.find("skipped") is not None:
            yield case.get("name"), next((line for line in output.splitlines() if "skipped" in line), "not run")
        for reason in re.findall(r"skipped '(.*)'", output):
            yield case.get("name"), reason


def main():
    skipped = list(skipped_cases(sys.argv[1]))
    failed = False
    for name, reason in skipped:
        allowed = next((why for names, reasons, why in ALLOWED if re.fullmatch(names, name) and re.fullmatch(reasons, reason)), None)
        print(f"skipped: {name}: {reason} ({'allowed: ' + allowed if allowed else 'NOT allowed'})")
        failed = failed or allowed is None
    print(f"tests skipped: {len(skipped)}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
