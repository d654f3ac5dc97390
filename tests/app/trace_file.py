"""Reads a file of `train --trace`, and checks what holds of each."""
import collections
import json
import re
import statistics

LAYERS = [f"conv{i}" for i in range(1, 9)] + [f"fc{i}" for i in range(1, 5)]
WITHOUT_INPUT_GRADIENT = LAYERS[0]
AROUND = {"step", "forward", "backward"}  # hold others, which must fill them
ROUNDING_US = 0.01  # times are printed to a nanosecond
COVERED_LEAST = 0.9  # of a step's time, if a rank loses its processor between two spans
COVERED_MOSTLY = 0.98  # the median over steps

# Operations of one pass for one image: two for each product whose input lies inside the map.
SIDES = [32, 16, 8, 8, 4, 4, 2, 2, 1, 1, 1, 1]
CHANNELS = [1, 64, 128, 256, 256, 512, 512, 512, 512, 4096, 4096, 1000, 10]


def layer_gflop(layer):
    place = LAYERS.index(layer)
    taps = sum(1 for at in range(SIDES[place]) for tap in (-1, 0, 1) if 0 <= at + tap < SIDES[place])
    return 2 * taps ** 2 * CHANNELS[place] * CHANNELS[place + 1] / 1e9


class TraceFile:
    def __init__(self, case, path):
        self.case = case
        with open(path, encoding="utf-8") as file:
            events = json.load(file)["traceEvents"]
        self.said = collections.defaultdict(dict)
        for event in events:
            if event["ph"] == "M":
                self.said[event["pid"], event.get("tid")][event["name"]] = event["args"]
        self.spans = [event for event in events if event["ph"] == "X"]
        case.assertEqual(len(self.spans) + sum(map(len, self.said.values())), len(events))

    def names(self):
        """Of the processes, as they are sorted."""
        found = sorted((said["process_sort_index"]["sort_index"], pid, said["process_name"]["name"])
                       for (pid, tid), said in self.said.items() if tid is None)
        self.case.assertEqual([pid for _, pid, _ in found], list(range(len(found))))
        return [name for _, _, name in found]

    def of(self, rank, line=0):
        return [span for span in self.spans if (span["pid"], span["tid"]) == (rank, line)]

    def check_lines(self):
        """Each line has a name, and in each spans follow each other or lie within each other."""
        lines = {(span["pid"], span["tid"]) for span in self.spans}
        for rank, line in sorted(lines):
            self.case.assertTrue(self.said[rank, line]["thread_name"]["name"])
            open_until = []
            for span in sorted(self.of(rank, line), key=lambda one: (one["ts"], -one["dur"])):
                self.case.assertGreaterEqual(span["dur"], 0)
                while open_until and open_until[-1] <= span["ts"] + ROUNDING_US:
                    open_until.pop()
                end = span["ts"] + span["dur"]
                if open_until:
                    self.case.assertLessEqual(end, open_until[-1] + ROUNDING_US, span)
                open_until.append(end)
                if line > 0:
                    self.case.assertEqual(len(open_until), 1, span)

    def steps(self, rank):
        """The spans of each step, by its number."""
        found = {}
        for whole in [span for span in self.of(rank) if span["name"] == "step"]:
            start, end = whole["ts"] - ROUNDING_US, whole["ts"] + whole["dur"] + ROUNDING_US
            inside = [span for span in self.of(rank) if start <= span["ts"] and span["ts"] + span["dur"] <= end and span is not whole]
            number = whole["args"]["step"]
            self.case.assertNotIn(number, found)
            self.case.assertEqual({span["args"]["step"] for span in inside}, {number})
            found[number] = whole, inside
        return found

    def check_layers(self, rank, images):
        """Each layer goes forward and backward once in each of the micro-batches, that have so many images."""
        for _, inside in self.steps(rank).values():
            for layer in LAYERS:
                work = {part: [span["args"] for span in inside if span["name"] == f"{layer} {part}"]
                        for part in ["forward", "backward", "weight gradient", "input gradient"]}
                self.case.assertEqual([len(work["forward"]), len(work["backward"])], [len(images)] * 2, layer)
                self.case.assertEqual(len(work["input gradient"]), 0 if layer == WITHOUT_INPUT_GRADIENT else len(images), layer)
                for i, count in enumerate(images):
                    one = count * layer_gflop(layer)
                    passes = [len(work[part]) // len(images) for part in ["weight gradient", "input gradient"]]
                    self.case.assertAlmostEqual(work["forward"][i]["gflop"] / one, 1, places=6)
                    self.case.assertAlmostEqual(work["backward"][i].get("gflop", 0) / one, sum(passes), places=6)
            most = self.label(rank, r"at most ([\d.e+]+) GFLOP/s and [\d.e+]+ GB/s")
            for span in inside:
                if "gflop" in span["args"]:
                    rate, share = span["args"]["gflop_per_s"], span["args"]["limit_share"]
                    self.case.assertAlmostEqual(span["args"]["gflop"] * 1e6 / span["dur"] / rate, 1, delta=1e-3)
                    self.case.assertGreaterEqual(share, 0.99 * rate / most)  # more where traffic takes longer

    def label(self, rank, pattern, otherwise=None):
        """A number in what is said beside a process' name."""
        found = re.search(pattern, self.said[rank, None].get("process_labels", {}).get("labels", ""))
        if otherwise is None:
            self.case.assertTrue(found, pattern)
        return float(found[1]) if found else otherwise

    def check_clocks(self, steps):
        """The ranks agree on each step: none knows of the others before all have begun to. Half a round trip is what a clock may be off."""
        ranks = len(self.names())
        off = sum(self.label(rank, r"clock \+-([\d.]+) us", 0.0) for rank in range(ranks))
        for step in steps:
            agreements = [span for span in self.spans if span["name"] == "agree on step" and span["args"]["step"] == step]
            self.case.assertEqual(len(agreements), ranks)
            self.case.assertLessEqual(max(one["ts"] for one in agreements), min(one["ts"] + one["dur"] for one in agreements) + off + ROUNDING_US)

    def covered(self, rank):
        """The share of each step's time that spans of its parts tell of."""
        shares = []
        for whole, inside in self.steps(rank).values():
            at, told = whole["ts"], 0.0
            for span in sorted((span for span in inside if span["name"] not in AROUND), key=lambda one: one["ts"]):
                end = span["ts"] + span["dur"]
                told += max(0.0, end - max(at, span["ts"]))
                at = max(at, end)
            shares.append(told / whole["dur"])
        return shares

    def check(self, names, steps, images):
        """What holds of every run in which all ranks have micro-batches of so many images."""
        self.case.assertEqual(self.names(), names)
        self.check_lines()
        self.check_clocks(steps)
        shares = []
        for rank in range(len(names)):
            self.case.assertEqual(sorted(self.steps(rank)), steps)
            self.case.assertEqual({span["args"]["step"] for span in self.of(rank)}, set(steps))
            self.check_layers(rank, images)
            shares += self.covered(rank)
        least, median = min(shares), statistics.median(shares)
        print(f"{len(names)} ranks: spans tell of {100 * median:.2f} % of a step, at least {100 * least:.2f} %", flush=True)
        self.case.assertGreaterEqual(least, COVERED_LEAST)
        self.case.assertGreaterEqual(median, COVERED_MOSTLY)
