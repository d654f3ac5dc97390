"""What is kept of timed algorithms between runs, and what is told of it."""
import json
import os
import unittest

import cli


class Plans(cli.Case):
    def test_info_makes_nothing(self):
        place = self.path("cache", "vgg11_dist", "plans.tsv")
        self.assertIn(f"\ntimed algorithms: none yet in {place}\n", self.run_program("info").out)
        told = json.loads(self.run_program("info", "--json").out)["plan_cache"]
        self.assertEqual((told["path"], told["choices"], told["newest"], told["most_spread"]), (place, 0, None, None))
        self.assertFalse(os.path.exists(self.path("cache")))
        with open(self.path("other"), "w", encoding="utf-8") as file:
            file.write("a machine\tconv1\t0\tdirect\t0.5\n\n\t\t\nno line\n")
        self.assertIn(f"\ntimed algorithms: 0 choices of this build and processor, 1 in all, in {self.path('other')}\n",
                      self.run_program("info", "--plan-cache", self.path("other")).out)

    def test_what_was_timed_in_a_busy_moment_is_not_kept(self):
        """Every moment is too busy for this limit, and none for the other, by which all is timed anew."""
        tuned = [option for option in cli.TINY if option != "--no-tune"] + ["--max-steps", "1", "--checkpoint-every", "0"]
        counts, all_of_them = [], 11 * 3 + 2  # no input gradient of the first of twelve layers
        for run, options in [("busy", ["--plan-spread", "1e-9", "--verbose"]), ("all", ["--plan-spread", "0", "--retune"])]:
            outcome = self.run_program("train", *tuned, *options, "--output", run)
            self.assertEqual(outcome.status, 0, outcome.err)
            told = [line for line in outcome.lines + outcome.out.splitlines() if "not kept: timed in a busy moment" in line]
            counts.append(json.loads(self.run_program("info", "--json").out)["plan_cache"])
            self.assertEqual(counts[-1]["choices"] + len(told), all_of_them)
        self.assertLess(counts[0]["choices"], all_of_them)
        self.assertEqual((counts[1]["own_choices"], counts[1]["path"]), (all_of_them, self.path("cache", "vgg11_dist", "plans.tsv")))
        self.assertGreater(counts[1]["most_spread"], 0)
        self.assertRegex(self.run_program("info").out, "(?m)^timed algorithms: 35 choices of this build and processor, 35 in all, in ")
        self.assert_refused(2, "--retune: nothing is timed with --no-tune", "train", "--retune", "--no-tune")


if __name__ == "__main__":
    unittest.main()
