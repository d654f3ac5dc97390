"""The real program over several hosts: the same training as on one, and what goes over the wire."""
import json
import pathlib
import re
import subprocess
import sys
import unittest

import cli
from trace_file import TraceFile

WITH_HOSTS = str(pathlib.Path(__file__).with_name("with_hosts.sh"))
STEPS = 3
PARAMETERS = 32_208_898
SHORT = ["train", *cli.TINY, "--threads", "1", "--max-steps", str(STEPS), "--check-every", "1"]


class Hosts(cli.Case):
    def over_hosts(self, hosts, *arguments):
        return self.run_command([WITH_HOSTS, hosts, cli.PROGRAM, *arguments])

    def succeed(self, outcome):
        self.assertEqual(outcome.status, 0, outcome.out + outcome.err)
        return outcome

    def last_tensors(self, run):
        return cli.tensors(self.path(run, cli.checkpoints(self.path(run))[-1]))

    def losses(self, run):
        steps = cli.events(self.path(run), "step")
        self.assertEqual(len(steps), STEPS)
        return [step["loss"] for step in steps]

    def received(self, outcome):
        """Bytes that the second host received."""
        return int(re.search(r"(?m)^vgghost1: (\d+) bytes received", outcome.err).group(1))

    def test_info_tells_the_nodes(self):
        info = json.loads(self.succeed(self.over_hosts("3,2", "info", "--json")).out)
        self.assertEqual(info["node_count"], 2)
        self.assertEqual([rank["node"] for rank in info["ranks"]], [0, 0, 0, 1, 1])
        self.assertEqual([rank["host"] for rank in info["ranks"]], ["vgghost0"] * 3 + ["vgghost1"] * 2)

    def test_slices_give_the_bits_of_one_host(self):
        self.succeed(self.run_command(cli.launch([*SHORT, "--slices", "4", "--exchange", "node", "--output", "one"], ranks=4)))
        for hosts, exchange in [("2,2", "node"), ("2,2", "overlap"), ("3,1", "allreduce")]:
            with self.subTest(hosts=hosts, exchange=exchange):
                self.succeed(self.over_hosts(hosts, *SHORT, "--slices", "4", "--exchange", exchange, "--output", exchange))
                self.assertEqual(self.last_tensors(exchange), self.last_tensors("one"))

    def test_unequal_hosts_train_alike(self):
        """The sum over ranks is rounded in another order, no more."""
        self.succeed(self.run_command(cli.launch([*SHORT, "--exchange", "node", "--output", "one"], ranks=3)))
        self.succeed(self.over_hosts("2,1", *SHORT, "--exchange", "node", "--output", "two"))
        for one, two in zip(self.losses("one"), self.losses("two")):
            self.assertAlmostEqual(one, two, delta=1e-4 * one)

    def test_bf16_wire_sends_half(self):
        received = {}
        for wire in ["fp32", "bf16"]:
            outcome = self.over_hosts("1,1", *SHORT, "--exchange", "node", "--wire", wire, "--output", wire)
            received[wire] = self.received(self.succeed(outcome))
        # Of two hosts each receives every number once a step: half of them to add, half of the sums.
        saved = STEPS * PARAMETERS * (4 - 2)
        self.assertAlmostEqual((received["fp32"] - received["bf16"]) / saved, 1, delta=0.05)
        for fp32, bf16 in zip(self.losses("fp32"), self.losses("bf16")):
            self.assertAlmostEqual(fp32, bf16, delta=0.02 * fp32)

    def test_resume_on_one_host(self):
        """Saved over two hosts, gone on with on one: the bits of a run that never stopped."""
        sliced = [*SHORT, "--slices", "2"]
        self.succeed(self.over_hosts("1,1", *sliced, "--output", "whole"))
        self.succeed(self.over_hosts("1,1", *sliced, "--max-steps", "1", "--output", "parts"))
        self.succeed(self.run_command(cli.launch([*sliced, "--resume", "--output", "parts"], ranks=2)))
        self.assertEqual(self.last_tensors("parts"), self.last_tensors("whole"))

    def test_a_trace_has_all_hosts_by_one_clock(self):
        """The second host was started 1000 s before, where the system lets that be said."""
        earlier = ["unshare", "--time", "--monotonic", "1000", "--fork"]
        apart = subprocess.run([*earlier, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0
        start = 'case $(hostname) in vgghost1) exec %s "$@";; *) exec "$@";; esac' % (" ".join(earlier) if apart else "")
        names = [f"rank {rank} on vgghost{rank // 2}" for rank in range(4)]
        for exchange in ["node", "overlap"]:
            with self.subTest(exchange=exchange):
                path = self.path(exchange + ".json")
                self.succeed(self.run_command([WITH_HOSTS, "2,2", "sh", "-c", start, "sh", cli.PROGRAM, *SHORT, "--exchange", exchange,
                                               "--output", exchange, "--trace", path]))
                trace = TraceFile(self, path)
                trace.check(names, [1, 2, 3], [4])
                self.assertEqual([rank for rank in range(4) if trace.label(rank, r"clock \+-([\d.]+) us", 0.0)], [2, 3])
                for rank in range(4):
                    self.assertIn("wait for messages", {span["name"] for span in trace.of(rank)})
                    self.assertIn("bucket", {span["name"] for span in trace.of(rank, 2)})

    def test_an_error_ends_all_hosts(self):
        outcome = self.over_hosts("2,1", "train", "--data", self.path("nowhere"))
        self.assertEqual(outcome.status, 3, outcome.err)
        self.assertEqual(len([line for line in outcome.lines if line.startswith("vgg11_dist: ")]), 1, outcome.err)


if __name__ == "__main__":
    probe = subprocess.run([WITH_HOSTS, "1,1", "true"], text=True, stdout=subprocess.PIPE, check=False)
    if probe.returncode == 77:
        print(probe.stdout)
        sys.exit(77)
    unittest.main()
