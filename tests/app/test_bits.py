"""With --micro-batches, the number of ranks does not show in the result: the same SHA-256 of all weights and velocity.

VGG11_TEST_STEPS is the number of steps (4); 200 and more take minutes.
"""
import hashlib
import os
import unittest

import cli

STEPS = int(os.environ.get("VGG11_TEST_STEPS", "4"))
BATCH = 16
EXCHANGES = {1: "allreduce", 2: "overlap", 4: "allreduce", 8: "node"}  # by ranks: all of them, and what auto would take
cli.LIMIT_S += 5 * STEPS


def digest(folder):
    whole = hashlib.sha256()
    for name, data in sorted(cli.tensors(os.path.join(folder, cli.checkpoints(folder)[-1])).items()):
        whole.update(name.encode() + b"\0")
        whole.update(data)
    return whole.hexdigest()


class Bits(cli.Case):
    def train_on(self, ranks, precision, output, *arguments):
        """Two epochs of STEPS / 2 steps."""
        options = ["train", "--data", cli.DATA, "--train-samples", str(BATCH * STEPS // 2), "--test-samples", "16",
                   "--batch-size", str(BATCH), "--epochs", "2", "--micro-batches", "8", "--exchange", EXCHANGES[ranks],
                   "--threads", "1", "--no-tune", "--keep", "1", "--precision", precision, "--output", output, *arguments]
        outcome = self.run_command(cli.launch(options, ranks))
        self.assertEqual(outcome.status, 0, outcome.err)
        return digest(self.path(output))

    def check(self, precision, numbers):
        """Runs over each number of ranks, and one that goes on with fewer."""
        found = {f"{ranks} ranks": self.train_on(ranks, precision, f"on-{ranks}") for ranks in numbers}
        first, most = STEPS // 2 + 1, max(numbers)
        self.train_on(most, precision, "resumed", "--max-steps", str(first))
        self.assertEqual(cli.events(self.path("resumed"), "step")[-1]["step"], first)
        found[f"{most} ranks to step {first}, then 2"] = self.train_on(2, precision, "resumed", "--resume")
        for run, value in found.items():
            print(f"{value}  {precision}, {run}, {STEPS} steps", flush=True)
        self.assertEqual(cli.events(self.path("resumed"), "step")[-1]["step"], STEPS)
        self.assertEqual(len(set(found.values())), 1)

    def test_any_number_of_ranks(self):
        self.check("fp32", list(EXCHANGES))

    def test_any_number_of_ranks_in_bf16(self):
        self.check("bf16", [1, 4])

    def test_another_seed_gives_other_bits(self):
        one = self.train_on(1, "fp32", "one", "--max-steps", "1")
        self.assertNotEqual(one, self.train_on(1, "fp32", "two", "--max-steps", "1", "--seed", "2"))
        self.assertNotEqual(one, self.train_on(1, "bf16", "three", "--max-steps", "1"))


if __name__ == "__main__":
    unittest.main()
