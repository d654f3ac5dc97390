"""Faults planted in a program of several ranks are reported, with the line, and fail it: nothing that other programs need to have
passed over hides them."""
import os
import subprocess
import unittest

FAULTS = os.environ["FAULTS"]
COMMANDS = [[FAULTS], [os.environ["MPIRUN"], "--oversubscribe", "-np", "2", FAULTS]]


class Faults(unittest.TestCase):
    def run_fault(self, fault):
        for command in COMMANDS:
            done = subprocess.run(command + [fault], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            yield done.returncode, done.stdout

    def expect(self, fault, pattern):
        for status, output in self.run_fault(fault):
            self.assertNotEqual(status, 0, output)
            self.assertRegex(output, pattern)

    def test_none(self):
        for status, output in self.run_fault("none"):
            self.assertEqual(status, 0, output)


class Sanitizers(Faults):
    def test_leak(self):
        self.expect("leak", r"(?s)LeakSanitizer: .*leak of 1234 byte.* in leak \S*faults\.c:\d+.*SUMMARY: \S+ 1234 byte")

    def test_leak_in_a_parallel_region(self):
        self.expect("leak-in-parallel", r"(?s)LeakSanitizer: .*leak of 1234 byte.* in leak_in_parallel.*SUMMARY: \S+ 1234 byte")

    def test_overflow(self):
        self.expect("overflow", r"(?s)AddressSanitizer: heap-buffer-overflow.* in overflow \S*faults\.c:\d+")

    def test_shift(self):
        self.expect("shift", r"faults\.c:\d+:\d+: runtime error: shift exponent 32 is too large")


class ThreadSanitizer(Faults):
    def test_race(self):
        self.expect("race", r"(?s)ThreadSanitizer: data race.* race(_once)? \S*faults\.c:\d+")

    def test_race_in_a_parallel_region(self):
        self.expect("race-in-parallel", r"(?s)ThreadSanitizer: data race.*outlined\S* \S*faults\.c:\d+")

    def test_barriers_are_known(self):
        for status, output in self.run_fault("share"):
            self.assertEqual(status, 0, output)


if __name__ == "__main__":
    unittest.main()
