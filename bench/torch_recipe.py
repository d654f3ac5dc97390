#!/usr/bin/env python3
"""A whole training of vgg11_dist in PyTorch: the peer of time_to_accuracy.py.

Reads the recipe from the config.json that a run of vgg11_dist has left (--config) and trains by it in one process: the same
images, normalisation, augmentation, batch, schedule, clipping, Nesterov update with decay of kernels, label smoothing and
kind of initial weights; the order of images and the weights are drawn from NumPy's generator. Prints the lines of
metrics.jsonl that say how far it has come ({"event": "eval", "step", "images", "train_s", "test_accuracy"}): train_s is the
time of steps alone, batches being made within them as they are in vgg11_dist.
"""
import argparse
import json
import math
import pathlib
import time

import numpy
import torch
from PIL import Image
from torch import nn

import peer
from torch_vgg11 import TorchPeer, as_parameter, build_network, build_optimizer


def read_set(folder, split, filter_name):
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC, "nearest": Image.Resampling.NEAREST}
    labels = peer.read_idx(folder, f"{split}-labels-idx1-ubyte", 8)
    images = peer.read_idx(folder, f"{split}-images-idx3-ubyte", 16).reshape(len(labels), 28, 28)
    if filter_name == "pad":
        return numpy.pad(images, ((0, 0), (2, 2), (2, 2))), labels
    resize = filters[filter_name]
    return numpy.stack([numpy.asarray(Image.fromarray(image).resize((peer.SIDE, peer.SIDE), resize)) for image in images]), labels


def shift(images, random):
    moved = numpy.zeros_like(images)
    for image, target, (down, right) in zip(images, moved, random.integers(-2, 3, (len(images), 2))):
        rows, columns = slice(max(0, -down), peer.SIDE - max(0, down)), slice(max(0, -right), peer.SIDE - max(0, right))
        target[max(0, down):peer.SIDE - max(0, -down), max(0, right):peer.SIDE - max(0, -right)] = image[rows, columns]
    return moved


def affine(images, random):
    count, side = len(images), peer.SIDE
    turn = random.uniform(-1, 1, count) * math.tan(math.radians(10))
    scale = 1 + random.uniform(-0.1, 0.1, (2, count))
    move = random.uniform(-2, 2, (2, count))
    centre = (side - 1) / 2
    row, column = numpy.mgrid[0:side, 0:side] - centre
    x = scale[0, :, None, None] * column - turn[:, None, None] * row + centre + move[0, :, None, None]
    y = turn[:, None, None] * column + scale[1, :, None, None] * row + centre + move[1, :, None, None]
    framed = numpy.zeros((count, side + 12, side + 12), numpy.float32)
    framed[:, 6:-6, 6:-6] = images
    x, y = numpy.clip(x + 6, 0, side + 10), numpy.clip(y + 6, 0, side + 10)
    left, top = x.astype(int), y.astype(int)
    right, below, each = (x - left).astype(numpy.float32), (y - top).astype(numpy.float32), numpy.arange(count)[:, None, None]
    upper = framed[each, top, left] * (1 - right) + framed[each, top, left + 1] * right
    lower = framed[each, top + 1, left] * (1 - right) + framed[each, top + 1, left + 1] * right
    return numpy.rint(upper * (1 - below) + lower * below).astype(numpy.uint8)


AUGMENT = {"none": lambda images, random: images, "shift": shift, "affine": affine}


def mirrored(kernel, inputs, outputs):
    """include/vgg11/nn/initialize.h, looks-linear"""
    half_in, half_out = kernel.shape[-2] // 2, kernel.shape[-1] // 2
    if outputs:
        kernel[..., half_out:] = -kernel[..., :half_out]
    if inputs:
        kernel[..., half_in:, :] = -kernel[..., :half_in, :]
    return kernel


def small(kernel, place, last):
    """include/vgg11/nn/initialize.h, looks-linear-small"""
    scale, features = 0.35, 80
    if place == 0:
        return kernel * numpy.float32(features / scale ** (last - 1))
    return numpy.zeros_like(kernel) if place == last else numpy.float32(scale) * mirrored(kernel, place > 1, True)


def initial_weights(kind, random):
    shapes, channels = [], 1
    for width in (width for width in peer.WIDTHS if width != "pool"):
        shapes.append((3, 3, channels, width))
        channels = width
    for features, width in zip([peer.FEATURES, *peer.DENSE], peer.DENSE):
        shapes.append((features, width))
    last = len(shapes) - 1
    for place, shape in enumerate(shapes):
        fan_in, fan_out = math.prod(shape[:-1]), math.prod(shape[:-2]) * shape[-1]
        if kind == "glorot":
            limit = math.sqrt(6 / (fan_in + fan_out))
            yield random.uniform(-limit, limit, shape).astype(numpy.float32)
        elif kind == "he-zero-last" and place == last:
            yield numpy.zeros(shape, numpy.float32)
        else:
            kernel = (math.sqrt(2 / fan_in) * random.standard_normal(shape)).astype(numpy.float32)
            if kind == "looks-linear":
                kernel = mirrored(kernel, place > 0, place < last)
            yield small(kernel, place, last) if kind == "looks-linear-small" else kernel
        yield numpy.zeros(shape[-1], numpy.float32)


def rate(recipe, step, steps):
    """include/vgg11/train/schedule.h"""
    length = recipe["schedule-steps"] or steps
    warmup = recipe["warmup-steps"]
    warmup = min(100, length // 10) if warmup == "auto" else warmup
    if step < warmup:
        return recipe["lr"] * (step + 1) / warmup
    progress = min(1, (step - warmup) / max(1, length - warmup))
    factor = {"cosine": 0.5 * (1 + math.cos(math.pi * progress)), "linear": 1 - progress, "constant": 1}
    return recipe["lr"] * factor[recipe["schedule"]]


class Training:
    def __init__(self, recipe, options):
        self.recipe, self.options = recipe, options
        self.random = numpy.random.default_rng(options.seed)
        torch.set_num_threads(options.threads)
        folder = pathlib.Path(options.data)
        self.images, self.labels = read_set(folder, "train", recipe["resize"])
        self.test = read_set(folder, "t10k", recipe["resize"])
        if recipe["train-samples"]:
            self.images, self.labels = self.images[:recipe["train-samples"]], self.labels[:recipe["train-samples"]]
        if recipe["validation"]:
            places = numpy.random.default_rng(0).permutation(len(self.images))
            kept, held_out = places[:-recipe["validation"]], places[-recipe["validation"]:]
            self.test = self.images[held_out], self.labels[held_out]
            self.images, self.labels = self.images[kept], self.labels[kept]
        pixels = self.images / 255.0
        self.mean, self.deviation = {"standard": (pixels.mean(), pixels.std()), "unit": (0, 1), "none": (0, 1 / 255)}[recipe["normalize"]]
        self.build()

    def build(self):
        layout = torch.channels_last if self.options.channels_last else torch.contiguous_format
        self.layout = layout
        self.network = build_network().to(memory_format=layout)
        with torch.no_grad():
            for parameter, value in zip(self.network.parameters(), initial_weights(self.recipe["init"], self.random)):
                parameter.copy_(as_parameter(value))
        parameters = list(self.network.parameters())
        groups = [{"params": [p for p in parameters if p.ndim > 1], "weight_decay": self.recipe["weight-decay"]},
                  {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0}]
        self.optimizer = build_optimizer(groups, 1.0, self.recipe["momentum"], not self.recipe["no-nesterov"])
        self.replica = torch.compile(self.network) if self.options.compile else self.network

    def tensor(self, images):
        values = (images / numpy.float32(255) - numpy.float32(self.mean)) / numpy.float32(self.deviation)
        return torch.from_numpy(values[:, None].astype(numpy.float32)).contiguous(memory_format=self.layout)

    def forward(self, network, images):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.options.precision == "bf16"):
            return network(images).float()

    def step(self, places, lr):
        images = AUGMENT[self.recipe["augment"]](self.images[places], self.random)
        self.optimizer.zero_grad(set_to_none=True)
        logits = self.forward(self.replica, self.tensor(images))
        loss = nn.functional.cross_entropy(logits, torch.from_numpy(self.labels[places].astype(numpy.int64)),
                                           label_smoothing=self.recipe["label-smoothing"])
        loss.backward()
        if self.recipe["clip-norm"]:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe["clip-norm"])
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        return float(loss.detach())

    def evaluate(self):
        correct = 0
        with torch.no_grad():
            for first in range(0, len(self.test[1]), 500):
                logits = self.forward(self.network, self.tensor(self.test[0][first:first + 500]))
                correct += int((logits.argmax(1).numpy() == self.test[1][first:first + 500]).sum())
        return correct / len(self.test[1])

    def run(self):
        recipe, batch = self.recipe, self.recipe["batch-size"]
        per_epoch = math.ceil(len(self.images) / batch)
        steps, done, seen, train_s = per_epoch * recipe["epochs"], 0, 0, 0.0
        while done < steps:
            order = self.random.permutation(len(self.images))
            for first in range(0, len(order), batch):
                start = time.perf_counter()
                loss = self.step(order[first:first + batch], rate(recipe, done, steps))
                train_s += time.perf_counter() - start
                done += 1
                seen += len(order[first:first + batch])
                if done % per_epoch == 0 or (recipe["eval-every"] and done % recipe["eval-every"] == 0):
                    print(json.dumps({"event": "eval", "step": done, "images": seen, "train_s": train_s, "train_loss": loss,
                                      "test_accuracy": self.evaluate()}), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", action="version", version=TorchPeer.version)
    parser.add_argument("--config", type=pathlib.Path, required=True, help="config.json of a run of vgg11_dist")
    parser.add_argument("--data", required=True, help="folder of the four IDX files")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    parser.add_argument("--channels-last", action="store_true", help="NHWC memory")
    parser.add_argument("--compile", action="store_true", help="torch.compile the network")
    options = parser.parse_args()
    Training(json.loads(options.config.read_text())["options"], options).run()


if __name__ == "__main__":
    main()
