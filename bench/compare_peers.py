#!/usr/bin/env python3
"""vgg11_dist's training step against other programs' on this machine, in turns (A B A B ...), as a Markdown table.

Each turn is a fresh process of ours (`vgg11_dist bench --part step`) and of each peer (torch_vgg11.py, keras_vgg11.py beside
this file), every time in another order. All run the same network, batch size and step (forward, loss, backward, global clip,
Nesterov update) on synthetic data, each rank bound to cores of its own and with as many threads. A turn counts with the
median of its steps; one turn of ours and one of the fastest peer give one ratio, the peer's time over ours; the table shows
the median ratio of all turns, and the least and the greatest. A peer is shown at its best: before the turns of a line it
tries its settings one after the other and keeps those that make it faster.

  bench/compare_peers.py --peer torch=VENV/bin/python --peer torch=/usr/bin/python3 --peer keras=VENV/bin/python
  bench/compare_peers.py --peer ... --batch 64 --ranks 2 --threads 1 --pairs fp32:fp32,bf16:bf16   (PyTorch's
                                                                                 DistributedDataParallel over gloo)
  bench/compare_peers.py --peer ... --check    whether all compute the same: loss and norm of the gradient of some steps
                                               from a checkpoint of ours, in each setting

Needs only Python's standard library itself, and taskset; --peer names interpreters that have the peers' packages. Without it
each kind of peer is looked for in this Python.
"""
import argparse
import concurrent.futures
import dataclasses
import itertools
import json
import os
import pathlib
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import typing

HERE = pathlib.Path(__file__).resolve().parent
PRECISIONS = ("fp32", "bf16")
INSTRUCTIONS = ("avx2", "fma", "avx512f", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_fp16", "asimd", "sve", "bf16", "sme")
CHECK_STEPS, CHECK_BATCH, CHECK_LR = 3, 32, 0.02
# Relative. PyTorch sums squares of 16 million gradients in fp32, 1e-4 off; products of bfloat16 everybody rounds elsewhere.
TOLERANCE = {"fp32": 1e-3, "bf16": 2e-2}


class Setting(typing.NamedTuple):
    """Something that makes a peer faster on some machines."""
    name: str
    arguments: tuple = ()
    environment: dict = {}
    ranks: int = 1  # fewest with which it means something


class Kind(typing.NamedTuple):
    """A framework that has a twin of our step."""
    script: str
    settings: tuple
    most_ranks: int


@dataclasses.dataclass(frozen=True, eq=False)
class Peer:
    kind: Kind
    python: str
    version: str


class Case(typing.NamedTuple):
    """A line of the table."""
    batch: int
    ranks: int
    threads: int
    ours: str  # precisions
    theirs: str


# glibc gives large blocks back to the system when they are freed, so each step pays for fresh pages, unless it is told to keep
# them; ours allocates before the first step, and in huge pages.
ALLOCATOR = (Setting("kept memory", environment={"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TOP_PAD_": "268435456",
                                                 "MALLOC_TRIM_THRESHOLD_": "8589934592"}),
             Setting("huge pages", environment={"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}))
KINDS = {
    "torch": Kind("torch_vgg11.py", (
        *ALLOCATOR, Setting("channels_last", ("--channels-last",)), Setting("static graph", ("--static-graph",), ranks=2),
        # Old versions take a processor that they do not know for one without.
        Setting("AVX-512", environment={"ATEN_CPU_CAPABILITY": "avx512"}), Setting("compiled", ("--compile",))),
                  most_ranks=sys.maxsize),
    "keras": Kind("keras_vgg11.py", (
        *ALLOCATOR, Setting("jit_compile", ("--jit-compile",)), Setting("inter-op threads", ("--inter-op",))), most_ranks=1),
}


class Failed(Exception):
    """A process that should have succeeded: one line about it."""


def whole_number(text):
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: wants a number of at least 1")
    return int(text)


def whole_numbers(text):
    return [whole_number(word) for word in text.split(",")]


def precision_pairs(text):
    pairs = [tuple(word.split(":")) for word in text.split(",")]
    if any(len(pair) != 2 or not set(pair) <= set(PRECISIONS) for pair in pairs):
        raise argparse.ArgumentTypeError(f"{text}: wants ours:theirs, each fp32 or bf16, e.g. fp32:fp32,bf16:fp32")
    return pairs


def kind_and_python(text):
    kind, _, python = text.partition("=")
    if kind not in KINDS or not python:
        raise argparse.ArgumentTypeError(f"{text}: wants {' or '.join(f'{kind}=PYTHON' for kind in KINDS)}")
    return kind, python


def setting_names(text):
    known = list(dict.fromkeys(setting.name for kind in KINDS.values() for setting in kind.settings))
    names = text.split(",")
    if not set(names) <= set(known):
        raise argparse.ArgumentTypeError(f"{text}: wants some of {', '.join(known)}")
    return names


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(HERE.parent / "build/release/src/app/vgg11_dist"),
                        help="the vgg11_dist to measure (default: that of the release build)")
    parser.add_argument("--peer", type=kind_and_python, action="append", metavar="KIND=PYTHON",
                        help=f"a peer ({', '.join(KINDS)}) and the Python that has it; may be given several times, "
                             "for several versions too")
    parser.add_argument("--batch", type=whole_numbers, default=[32, 128], metavar="N,...",
                        help="global batch sizes (default: 32,128)")
    parser.add_argument("--ranks", type=whole_numbers, default=[1], metavar="N,...", help="ranks (default: 1)")
    parser.add_argument("--threads", type=whole_numbers, default=[len(find_cores())], metavar="N,...",
                        help="threads a rank (default: as many as there are cores)")
    parser.add_argument("--pairs", type=precision_pairs, default=[("fp32", "fp32")], metavar="OURS:THEIRS,...",
                        help="precisions to set against each other (default: fp32:fp32)")
    parser.add_argument("--turns", type=whole_number, default=5, help="turns of each program for each line (default: 5)")
    parser.add_argument("--steps", type=whole_number, default=10, help="timed steps in a turn (default: 10)")
    parser.add_argument("--warmup", type=whole_number, default=3, help="steps before the timed ones in a turn (default: 3)")
    parser.add_argument("--skip", type=setting_names, default=[], metavar="SETTING,...",
                        help="peers' settings not to try; a wrong one lists them")
    parser.add_argument("--bench-options", default="", metavar="TEXT", help="further options for `vgg11_dist bench`")
    parser.add_argument("--mpirun", default="mpirun --oversubscribe", metavar="TEXT",
                        help="how ours is started on more than one rank (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="instead of timing, see whether all compute the same")
    parser.add_argument("--json", metavar="FILE", help="write every turn's step times there, too")
    return parser.parse_args()


def note(text):
    print(f"compare_peers.py: {text}", file=sys.stderr, flush=True)


def find_cores():
    """For each core that this process may use its processors, of which it has several with hardware threads."""
    cores = {}
    for processor in sorted(os.sched_getaffinity(0)):
        siblings = pathlib.Path(f"/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list")
        cores.setdefault(siblings.read_text() if siblings.exists() else processor, []).append(processor)
    return list(cores.values())


def is_oversubscribed(case):
    return case.ranks * case.threads > len(find_cores())


def bound(command, case, rank):
    """The command on this rank's cores, or on any where there are too few."""
    if is_oversubscribed(case):
        return command
    mine = find_cores()[rank * case.threads:(rank + 1) * case.threads]
    return ["taskset", "-c", ",".join(str(processor) for core in mine for processor in core), *command]


def describe_failure(process, errors):
    """One line: the last that it said itself, without the boxes that mpirun draws below."""
    said = re.sub(r"^-{20,}$.*?^-{20,}$", "", errors, flags=re.MULTILINE | re.DOTALL).split("\n")
    last = next((line for line in reversed(said) if line.strip()), "it said nothing")
    command = shlex.join(itertools.takewhile(lambda word: word != ":", process.args))
    return f"exit status {process.returncode} of {command}: {last}"


def run_together(commands, environment=None):
    """Standard output of the first of several commands that must all succeed; once one has failed the others are ended."""
    commands = [[str(word) for word in command] for command in commands]
    try:
        processes = [subprocess.Popen(command, env=environment, text=True, stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE) for command in commands]
    except OSError as error:
        raise Failed(str(error)) from error
    with concurrent.futures.ThreadPoolExecutor(len(processes)) as pool:
        outputs = {pool.submit(process.communicate): process for process in processes}
        try:
            for output in concurrent.futures.as_completed(outputs):
                if outputs[output].returncode != 0:
                    raise Failed(describe_failure(outputs[output], output.result()[1]))
        finally:
            for process in processes:
                process.terminate()
    return next(iter(outputs)).result()[0]


def run_ours(options, case, arguments):
    """Standard output of vgg11_dist."""
    command = [options.program, *arguments, "--threads", case.threads, "--precision", case.ours, "--batch-size", case.batch]
    if case.ranks == 1:
        return run_together([bound(command, case, 0)])
    launch = [*shlex.split(options.mpirun), "--bind-to", "none"]
    for rank in range(case.ranks):
        launch += [*([":"] if rank else []), "-np", 1, *bound(command, case, rank)]
    return run_together([launch])


def time_ours(options, case):
    """Step times in seconds of one turn."""
    arguments = ["bench", "--part", "step", "--json", "--repeats", options.warmup + options.steps]
    output = run_ours(options, case, [*arguments, *shlex.split(options.bench_options)])
    return json.loads(output)["step"]["seconds"][options.warmup:]


def run_peer(peer, case, settings, arguments):
    """What a peer printed, in one turn or check."""
    threads = str(case.threads)
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "MKL_NUM_THREADS": threads,
                   "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3", "GLOO_SOCKET_IFNAME": "lo",
                   "PYTHONDONTWRITEBYTECODE": "1"}
    command = [peer.python, HERE / peer.kind.script, "--batch", case.batch, "--threads", threads, "--precision", case.theirs,
               *arguments]
    for setting in settings:
        environment.update(setting.environment)
        command += setting.arguments
    if case.ranks == 1:
        return json.loads(run_together([bound(command, case, 0)], environment))
    with tempfile.TemporaryDirectory() as folder:
        command += ["--ranks", case.ranks, "--rendezvous", f"{folder}/rendezvous", "--rank"]
        return json.loads(run_together([bound([*command, rank], case, rank) for rank in range(case.ranks)], environment))


def time_peer(options, peer, case, settings):
    """Step times in seconds of one turn."""
    return run_peer(peer, case, settings, ["--warmup", options.warmup, "--steps", options.steps])["step_s"]


def find_peers(options):
    """Those that are there; what is missing is said."""
    peers = []
    for name, python in options.peer or [(kind, sys.executable) for kind in KINDS]:
        try:
            version = run_together([[python, HERE / KINDS[name].script, "--version"]]).strip()
            peers.append(Peer(KINDS[name], python, version))
        except Failed as error:
            note(f"goes without {name} of {python}: {error}")
    if not peers:
        sys.exit("compare_peers.py: no peer is left; --peer names an interpreter that has one")
    return peers


def settings_to_try(options, peer, case):
    return [setting for setting in peer.kind.settings if setting.name not in options.skip and case.ranks >= setting.ranks]


def find_best_settings(options, peer, case):
    """Each setting that makes the peer faster, beside those taken before it."""
    chosen, least = (), statistics.median(time_peer(options, peer, case, ()))
    for setting in settings_to_try(options, peer, case):
        try:
            seconds = statistics.median(time_peer(options, peer, case, (*chosen, setting)))
        except Failed as error:
            note(f"{peer.version} goes without {setting.name}: {error}")
            continue
        if seconds < least:
            chosen, least = (*chosen, setting), seconds
    return chosen


def compare(options, peers, case):
    """One line of the table: the turns of all programs, and the peers' settings."""
    taking_part = [peer for peer in peers if case.ranks <= peer.kind.most_ranks]
    settings = {peer: find_best_settings(options, peer, case) for peer in taking_part}
    turns = []
    for turn in range(options.turns):
        order = [None, *taking_part]
        order = order[turn % len(order):] + order[:turn % len(order)]
        turns.append({peer: time_peer(options, peer, case, settings[peer]) if peer else time_ours(options, case)
                      for peer in order})
    return settings, turns


def as_json(case, settings, turns):
    named = [{"ours_s": turn[None], "peers_s": [turn[peer] for peer in settings]} for turn in turns]
    return {**case._asdict(), "oversubscribed": is_oversubscribed(case), "turns": named,
            "peers": [{"version": peer.version, "python": peer.python, "settings": [setting.name for setting in chosen]}
                      for peer, chosen in settings.items()]}


def table_line(peers, case, settings, turns):
    medians = [{program: statistics.median(seconds) for program, seconds in turn.items()} for turn in turns]
    middle = {program: statistics.median(turn[program] for turn in medians) for program in medians[0]}
    best = min(settings, key=middle.get)
    ratios = [turn[best] / turn[None] for turn in medians]
    times = " | ".join(f"{middle[peer] * 1e3:.1f}" if peer in middle else "-" for peer in peers)
    name = ", ".join([best.version, *(setting.name for setting in settings[best])])
    return (f"| {case.batch} | {case.ranks} x {case.threads}{' (!)' * is_oversubscribed(case)} | {case.ours} : {case.theirs} "
            f"| {middle[None] * 1e3:.1f} | {times} | {name} | **{statistics.median(ratios):.2f}** "
            f"({min(ratios):.2f} - {max(ratios):.2f}) |")


def describe_processor():
    """Its name and those of its instructions that matter for products of matrices."""
    text = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    name = re.search(r"^model name\s*:\s*(.*)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", text, re.MULTILINE)
    found = [word for word in INSTRUCTIONS if flags and word in flags[1].split()]
    return f"{name[1] if name else os.uname().machine}, {len(find_cores())} cores ({', '.join(found)})"


def cases(options):
    return [Case(batch, ranks, threads, *pair) for ranks in options.ranks for threads in options.threads
            for batch in options.batch for pair in options.pairs]


def make_table(options, peers, version):
    columns = ["batch", "ranks x threads", "ours : peers", "ours, ms", *(f"{peer.version}, ms" for peer in peers),
               "best peer", "times faster (least - most)"]
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}", flush=True)
    lines = []
    for case in cases(options):
        if all(case.ranks > peer.kind.most_ranks for peer in peers):
            note(f"no peer runs on {case.ranks} ranks")
            continue
        settings, turns = compare(options, peers, case)
        lines.append(as_json(case, settings, turns))
        print(table_line(peers, case, settings, turns), flush=True)
        if options.json:
            result = {"processor": describe_processor(), "program": version, "turns": options.turns,
                      "steps": options.steps, "lines": lines}
            pathlib.Path(options.json).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"\n{version} on {describe_processor()}; medians of {options.turns} turns of {options.steps} steps.")
    if any(line["oversubscribed"] for line in lines):
        print("(!) oversubscribed: more threads than cores, none of them bound.")


def steps_of_ours(options, case, folder):
    """Trains a few steps; returns a checkpoint after the first, and losses and norms of those that follow."""
    run_ours(options, case, ["train", "--data", HERE.parent / "data" / "mnist", "--resize", "pad", "--normalize", "unit",
                             "--no-shuffle", "--train-samples", case.batch * (CHECK_STEPS + 1), "--test-samples", 1,
                             "--epochs", 1, "--lr", CHECK_LR, "--warmup-steps", 0, "--schedule", "constant",
                             "--weight-decay", 0, "--checkpoint-steps", 1, "--keep", 0, "--progress", "none",
                             "--output", folder])
    events = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    steps = [event for event in events if event["event"] == "step"][1:]
    return folder / "checkpoint-00000001.safetensors", [value for step in steps for value in (step["loss"], step["grad_norm"])]


def check_peer(peer, case, settings, checkpoint, expected):
    """Says how far the peer's losses and norms are from ours; whether that is near enough."""
    what = f"{case.ranks} x {case.threads}, ours {case.ours}, {case.theirs} of " + ", ".join(
        [peer.version, *(setting.name for setting in settings)])
    try:
        found = run_peer(peer, case, settings, ["--check", checkpoint, "--data", HERE.parent / "data" / "mnist",
                                                "--steps", CHECK_STEPS, "--lr", CHECK_LR])
    except Failed as error:
        note(f"{what}: {error}")
        return bool(settings)  # of which no version has all
    values = [value for pair in zip(found["loss"], found["grad_norm"]) for value in pair]
    error = max(abs(value - ours) / abs(ours) for value, ours in zip(values, expected, strict=True))
    tolerance = max(TOLERANCE[case.ours], TOLERANCE[case.theirs])
    print(f"{what}: within {error:.1e}, {'ok' if error <= tolerance else f'WRONG, wants {tolerance:.0e}'}", flush=True)
    return error <= tolerance


def check(options, peers):
    """Whether all peers do what ours does in the steps that follow a checkpoint."""
    sound = True
    for case in dict.fromkeys(case._replace(batch=CHECK_BATCH) for case in cases(options)):
        with tempfile.TemporaryDirectory() as folder:
            checkpoint, expected = steps_of_ours(options, case, pathlib.Path(folder) / "run")
            for peer in peers:
                if case.ranks > peer.kind.most_ranks:
                    continue
                tried = [setting for setting in settings_to_try(options, peer, case) if setting not in ALLOCATOR]
                for settings in [(), *((setting,) for setting in tried)]:
                    sound &= check_peer(peer, case, settings, checkpoint, expected)
    print(f"loss and norm of the gradient of {CHECK_STEPS} steps of {CHECK_BATCH} images, the largest relative difference")
    return sound


def main():
    options = parse_options()
    version = run_together([[options.program, "--version"]]).strip()
    peers = find_peers(options)
    if options.check:
        sys.exit(0 if check(options, peers) else 1)
    make_table(options, peers, version)


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(f"compare_peers.py: {failure}")
