#!/usr/bin/env python3
"""Fails where a test was skipped without being on the list below: what nothing runs, nobody misses.

usage: check_skipped.py JUNIT_FILE   (`ctest --preset release` writes build/release/junit.xml)
"""
import re
import sys
import xml.etree.ElementTree

# A pattern of names, and why tests of these names may be skipped where this runs.
ALLOWED = {
    r"hosts_.*": "network namespaces are not allowed in every container",
    r"app_launch": "a container may hold fewer cores than the machine, and a bare system no locale with a decimal comma",
}


def skipped_cases(path):
    """Names and reasons: of whole tests, and of those whose Python cases were skipped in part."""
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        output = case.findtext("system-out") or ""
        if case.get("status") in ("notrun", "disabled") or case.find("skipped") is not None:
            yield case.get("name"), next((line for line in output.splitlines() if "skipped" in line), "not run")
        elif found := re.search(r"skipped '(.*)'", output):
            yield case.get("name"), found[1]


def main():
    skipped = list(skipped_cases(sys.argv[1]))
    failed = False
    for name, reason in skipped:
        allowed = next((why for pattern, why in ALLOWED.items() if re.fullmatch(pattern, name)), None)
        print(f"skipped: {name}: {reason} ({'allowed: ' + allowed if allowed else 'NOT allowed'})")
        failed = failed or allowed is None
    print(f"tests skipped: {len(skipped)}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
