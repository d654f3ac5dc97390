#!/usr/bin/env python3
"""The training step of vgg11_dist in PyTorch, timed: the peer that compare_torch.py runs.

The same network (VGG11's configuration A for 32x32x1 with a further 10-way layer), the same step: forward, softmax
cross-entropy, backward, global norm clipped to 1, Nesterov SGD; the same synthetic batch every time. One process, or
one of several under DistributedDataParallel (gloo) where WORLD_SIZE, RANK, MASTER_ADDR and MASTER_PORT are set.
Prints one JSON object, on rank 0: {"torch", "ranks", "threads", "batch", "precision", "layout", "parameters",
"step_s": [seconds of each timed step], "loss": [first, last]}.
"""
import argparse
import json
import os
import time

import torch
from torch import nn

WIDTHS = [64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool"]
DENSE = [512, 4096, 4096, 1000, 10]


def build_network():
    layers, channels = [], 1
    for width in WIDTHS:
        if width == "pool":
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [nn.Conv2d(channels, width, kernel_size=3, padding=1), nn.ReLU(inplace=True)]
        channels = width
    layers.append(nn.Flatten())
    for features, width in zip(DENSE, DENSE[1:]):
        layers += [nn.Linear(features, width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers[:-1])  # no ReLU after the last layer


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32, help="global batch: images of all ranks together")
    parser.add_argument("--threads", type=int, default=1, help="threads a rank")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="bf16: torch.autocast on the CPU")
    parser.add_argument("--channels-last", action="store_true", help="NHWC memory, which some versions run faster")
    parser.add_argument("--warmup", type=int, default=3, help="steps before the timed ones")
    parser.add_argument("--steps", type=int, default=10, help="timed steps")
    return parser.parse_args()


def main():
    options = parse_options()
    torch.set_num_threads(options.threads)
    ranks, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    layout = torch.channels_last if options.channels_last else torch.contiguous_format
    torch.manual_seed(0)
    network = build_network().to(memory_format=layout)
    replica = network
    if ranks > 1:
        torch.distributed.init_process_group("gloo")
        replica = nn.parallel.DistributedDataParallel(network, gradient_as_bucket_view=True)
    share = options.batch // ranks + (rank < options.batch % ranks)
    images = torch.randn(share, 1, 32, 32).contiguous(memory_format=layout)
    labels = torch.randint(0, 10, (share,))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.001, momentum=0.9, nesterov=True)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.precision == "bf16"):
            logits = replica(images)
        loss = nn.functional.cross_entropy(logits.float(), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        return loss

    first = step().item()
    for _ in range(options.warmup - 1):
        step()
    seconds = []
    for _ in range(options.steps):
        start = time.perf_counter()
        loss = step()
        seconds.append(time.perf_counter() - start)
    if rank == 0:
        print(json.dumps({
            "torch": torch.__version__, "ranks": ranks, "threads": torch.get_num_threads(), "batch": options.batch,
            "precision": options.precision, "layout": "channels_last" if options.channels_last else "contiguous",
            "parameters": sum(p.numel() for p in network.parameters()), "step_s": seconds,
            "loss": [first, loss.item()]}))


if __name__ == "__main__":
    main()
