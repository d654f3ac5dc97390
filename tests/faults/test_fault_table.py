"""What fault_table.py makes of results, and that it sees a table that is not that of the rows."""
import os
import re
import tempfile
import unittest

import fault_table

BUILD, TABLE = os.environ["VGG11_TEST_BUILD"], os.environ["VGG11_TEST_FAULTS"]

CASES = """<?xml version="1.0" encoding="UTF-8"?>
<testsuite tests="3">{}</testsuite>
"""


class Table(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="vgg11-faults-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.table = os.path.join(self.folder, "faults.md")

    def junit(self, name, **statuses):
        path = os.path.join(self.folder, name)
        cases = "".join(f'<testcase name="{test}" status="{status}"/>' for test, status in statuses.items())
        with open(path, "w", encoding="utf-8") as file:
            file.write(CASES.format(cases))
        return path

    def written(self, *junit):
        fault_table.write(BUILD, self.table, junit)
        with open(self.table, encoding="utf-8") as file:
            return file.read()

    def test_results(self):
        """A later file wins, but for what it did not run."""
        first = self.junit("first.xml", test_watchdog="fail", data_idx="run", data_dataset="run")
        later = self.junit("later.xml", test_watchdog="run", data_idx="notrun", data_dataset="fail")
        text = self.written(first, later)
        self.assertRegex(text, r"(?m)^\| 41 \| .* \| `test_watchdog` \| 1 passed \|$")
        self.assertRegex(text, r"(?m)^\| 33 \| .* \| 1 passed, 1 failed, \d+ not run \|$")
        self.assertRegex(text, r"(?m)^\| 40 \| .* \| not measured \| - \|$")
        self.assertRegex(text, r"results of [\d-]+: 2 passed, 1 failed, \d+ not run\.")

    def test_a_table_that_is_old_is_seen(self):
        text = self.written(self.junit("none.xml"))
        self.assertTrue(fault_table.check(BUILD, self.table))
        for old in [text.replace("no checkpoint is lost", "hardly any checkpoint is lost"), re.sub(r"\| 7 .*\n", "", text)]:
            self.assertNotEqual(old, text)
            with open(self.table, "w", encoding="utf-8") as file:
                file.write(old)
            self.assertFalse(fault_table.check(BUILD, self.table))

    def test_the_table_of_the_documents(self):
        self.assertTrue(fault_table.check(BUILD, TABLE))


if __name__ == "__main__":
    unittest.main()
