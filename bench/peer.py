"""What the peers of compare_peers.py share: the network's table, the options, the timed steps and the check.

A peer is a file with one class, which describes the network and its training step in one framework:

  version                        what is measured, as people name it
  add_options(parser)            options of its own
  __init__(options)              builds the network and its optimizer
  tensors(images, labels)        a batch of NumPy arrays as the framework wants them; images are NHWC
  step(images, labels)           one step: forward, softmax cross-entropy, backward, global norm clipped to CLIP_NORM,
                                 Nesterov SGD with MOMENTUM; the loss, and with --check the norm of the whole batch's gradient
  load(weights, velocity)        NumPy arrays in the order of NAMES, laid out as in a checkpoint of vgg11_dist

and calls main() with that class. It prints one JSON object: {"version", "step_s": [seconds of each timed step], "loss": [of
each]}, or with --check {"version", "loss": [...], "grad_norm": [...]}.
"""
import argparse
import gzip
import json
import pathlib
import time

import numpy

WIDTHS = [64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool"]
DENSE = [4096, 4096, 1000, 10]
FEATURES = 512  # of an image that all pools have made 1x1
SIDE, CLASSES = 32, 10
MOMENTUM, CLIP_NORM = 0.9, 1.0
LAYERS = [f"conv{i + 1}" for i in range(len(WIDTHS) - WIDTHS.count("pool"))] + [f"fc{i + 1}" for i in range(len(DENSE))]
NAMES = [f"{layer}.{kind}" for layer in LAYERS for kind in ("kernel", "bias")]


def parse_options(peer, description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=peer.version)
    parser.add_argument("--batch", type=int, default=32, help="global batch: images of all ranks together")
    parser.add_argument("--threads", type=int, default=1, help="threads a rank")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32",
                        help="bf16: products of bfloat16, weights and their update in fp32")
    parser.add_argument("--warmup", type=int, default=3, help="steps before the timed ones")
    parser.add_argument("--steps", type=int, default=10, help="timed or checked steps")
    parser.add_argument("--lr", type=float, default=0.001, help="learning rate")
    parser.add_argument("--check", type=pathlib.Path, metavar="CHECKPOINT",
                        help="instead of timing, go on from this checkpoint of vgg11_dist and print losses and norms")
    parser.add_argument("--data", type=pathlib.Path, metavar="DIR", help="folder of MNIST's .gz files for --check")
    parser.set_defaults(rank=0, ranks=1)
    peer.add_options(parser)
    return parser.parse_args()


def share_of_rank(options):
    """First image of this rank in a batch, and how many are its own."""
    share, more = divmod(options.batch, options.ranks)
    return options.rank * share + min(options.rank, more), share + (options.rank < more)


def measure(twin, options):
    _, share = share_of_rank(options)
    random = numpy.random.default_rng(options.rank)
    batch = twin.tensors(random.standard_normal((share, SIDE, SIDE, 1), dtype=numpy.float32),
                         random.integers(0, CLASSES, share))
    losses, seconds = [], []
    for _ in range(options.warmup + options.steps):
        start = time.perf_counter()
        losses.append(float(twin.step(*batch)[0]))
        seconds.append(time.perf_counter() - start)
    return {"step_s": seconds[options.warmup:], "loss": losses[options.warmup:]}


def read_checkpoint(path):
    """Tensors of a safetensors file of fp32."""
    data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    described = json.loads(data[8:end])
    described.pop("__metadata__", None)
    return {name: numpy.frombuffer(data[end + entry["data_offsets"][0]:end + entry["data_offsets"][1]], "<f4")
                       .reshape(entry["shape"]) for name, entry in described.items()}


def read_idx(folder, name, header):
    """The bytes behind an IDX file's header, plain or gzipped."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.exists():
            opened = gzip.open(path) if path.suffix == ".gz" else open(path, "rb")
            with opened as file:
                return numpy.frombuffer(file.read(), numpy.uint8, offset=header)
    raise SystemExit(f"{folder}: there is no {name}")


def read_images(folder, first, count):
    """Training images as `--resize pad --normalize unit` makes them, and their labels."""
    pixels = read_idx(folder, "train-images-idx3-ubyte", 16)[first * 784:][:count * 784].reshape(count, 28, 28, 1)
    labels = read_idx(folder, "train-labels-idx1-ubyte", 8)[first:][:count]
    framed = numpy.pad(pixels, ((0, 0), (2, 2), (2, 2), (0, 0)))
    return framed.astype(numpy.float32) / numpy.float32(255), labels.astype(numpy.int64)


def check(twin, options):
    """What vgg11_dist would do next: the batches after those that the checkpoint's name counts, in the files' order."""
    tensors = read_checkpoint(options.check)
    twin.load([tensors[name] for name in NAMES], [tensors[f"velocity.{name}"] for name in NAMES])
    done = int(options.check.stem.rpartition("-")[2])
    first, share = share_of_rank(options)
    records = [twin.step(*twin.tensors(*read_images(options.data, step * options.batch + first, share)))
               for step in range(done, done + options.steps)]
    return {"loss": [float(loss) for loss, _ in records], "grad_norm": [float(norm) for _, norm in records]}


def main(peer, description):
    options = parse_options(peer, description)
    twin = peer(options)
    result = check(twin, options) if options.check else measure(twin, options)
    if options.rank == 0:
        print(json.dumps({"version": peer.version, **result}))
