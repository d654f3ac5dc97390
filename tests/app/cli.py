"""What the command-line tests share: starting the real program over ranks, and reading what it leaves."""
import gzip
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "support"))
from job import Job

PROGRAM = os.environ["VGG11_DIST"]
MPIRUN = os.environ.get("MPIRUN", "mpirun")
DATA = os.environ["VGG11_TEST_DATA"]
RANKS = int(os.environ.get("VGG11_TEST_RANKS", "1"))
LIMIT_S = 240 * float(os.environ.get("VGG11_TEST_SLOWNESS", "1"))  # a hang, not a duration

# Few samples: the network has 32 million weights, so that a step costs what it costs.
TINY = ["--train-samples", "64", "--test-samples", "40", "--batch-size", "16", "--epochs", "1", "--data", DATA, "--no-tune"]


class Outcome:
    """Exit status, standard output, and standard error without mpirun's own words."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err
        inside, self.lines = False, []
        for line in err.splitlines():
            if line.startswith("-----"):
                inside = not inside
            elif not inside and line.strip() and not line.startswith("[warn] Epoll "):  # of mpirun's libevent, on a busy machine
                self.lines.append(line)

    def errors(self):
        return [line for line in self.lines if not line.startswith("vgg11_dist: warning: ")]


def launch(arguments, ranks=RANKS):
    """One rank runs without mpirun, as people do."""
    if ranks == 1:
        return [PROGRAM] + arguments
    return [MPIRUN, "--quiet", "--oversubscribe", "-np", str(ranks), PROGRAM] + arguments


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="vgg11-cli-")
        self.job = Job()
        self.environment = self.job.environment(XDG_CACHE_HOME=self.path("cache"))

    def tearDown(self):
        left = self.job.describe() if self.job.left() else ""
        self.job.end()
        shutil.rmtree(self.folder)
        self.assertEqual(left, "", "processes were left behind")

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def start(self, command, **pipes):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **pipes}
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, text=True, **pipes)

    def programs(self, name):
        """Processes of this test that run the program of that name, each with its environment."""
        found = {}
        for process in self.job.processes():
            try:
                with open(f"/proc/{process}/comm", encoding="utf-8") as file:
                    same = file.read().strip() == name
                with open(f"/proc/{process}/environ", "rb") as file:
                    words = file.read().decode(errors="replace").split("\0")
            except OSError:
                continue  # ended meanwhile
            if same:
                found[process] = dict(word.split("=", 1) for word in words if "=" in word)
        return found

    def rank(self, number):
        """The process of that rank."""
        ranks = {int(environment.get("OMPI_COMM_WORLD_RANK", 0)): process for process, environment in
                 self.programs(os.path.basename(PROGRAM)).items()}
        return ranks[number]

    def hang(self, process, waited_for):
        """Ends all ranks, and fails."""
        running = self.job.describe()
        self.job.end()
        out, err = process.communicate(timeout=LIMIT_S)
        self.fail(f"hangs: waited {LIMIT_S:.0f} s for {waited_for}; still running:\n{running}\n{out}\n{err}")

    def finish(self, process):
        try:
            out, err = process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            self.hang(process, f"the end of {process.args}")
        return Outcome(process.returncode, out, err)

    def run_command(self, command, **pipes):
        return self.finish(self.start(command, **pipes))

    def run_program(self, *arguments):
        return self.run_command(launch(list(arguments)))

    def train(self, *arguments):
        outcome = self.run_program("train", *TINY, *arguments)
        self.assertEqual(outcome.status, 0, outcome.err)
        return outcome

    def assert_refused(self, status, pattern, *arguments, ranks=RANKS):
        """Exactly one line, on one rank's standard error, and the same status from all."""
        outcome = self.run_command(launch(list(arguments), ranks))
        self.assertEqual(outcome.status, status, outcome.err)
        self.assertEqual(len(outcome.errors()), 1, outcome.err)
        self.assertRegex(outcome.errors()[0], "^vgg11_dist: .*" + pattern)
        self.assertEqual(outcome.out, "")

    def wait_for(self, what, condition, process):
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            self.assertIsNone(process.poll(), f"it ended before {what}")
            if time.monotonic() > deadline:
                self.hang(process, what)
            time.sleep(0.02)

    def wait_for_step(self, step, process, run="run"):
        metrics = self.path(run, "metrics.jsonl")

        def is_done():
            if not os.path.exists(metrics):
                return False
            with open(metrics, encoding="utf-8") as file:
                return f'"event":"step","step":{step},' in file.read()
        self.wait_for(f"its step {step}", is_done, process)


def read_metrics(folder):
    with open(os.path.join(folder, "metrics.jsonl"), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def events(folder, kind):
    return [event for event in read_metrics(folder) if event["event"] == kind]


def checkpoints(folder):
    return sorted(name for name in os.listdir(folder) if name.startswith("checkpoint-") and name.endswith(".safetensors"))


def tensors(path):
    """The raw bytes of all tensors of a safetensors file, by name."""
    with open(path, "rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(length))
        body = file.read()
    header.pop("__metadata__", None)
    return {name: body[slice(*entry["data_offsets"])] for name, entry in header.items()}


def idx_images(count, magic=0x803, rows=28, columns=28, stored=None):
    stored = count if stored is None else stored
    return struct.pack(">IIII", magic, count, rows, columns) + bytes(stored * rows * columns)


def idx_labels(labels, magic=0x801, count=None):
    return struct.pack(">II", magic, len(labels) if count is None else count) + bytes(labels)


def write_data(folder, compress=False, **replaced):
    """A data set of 20 black images a split; `replaced` gives other bytes for train_images, train_labels, ..."""
    os.makedirs(folder)
    labels = [i % 10 for i in range(20)]
    names = {"train_images": "train-images-idx3-ubyte", "train_labels": "train-labels-idx1-ubyte",
             "test_images": "t10k-images-idx3-ubyte", "test_labels": "t10k-labels-idx1-ubyte"}
    for key, name in names.items():
        data = replaced.get(key, idx_images(20) if key.endswith("images") else idx_labels(labels))
        with open(os.path.join(folder, name + (".gz" if compress else "")), "wb") as file:
            file.write(gzip.compress(data) if compress and key not in replaced else data)
    return folder
