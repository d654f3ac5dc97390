#!/usr/bin/env python3
"""The training step of vgg11_dist in PyTorch: a peer of compare_peers.py.

One process, or with --ranks one of several under DistributedDataParallel over gloo. bf16 is torch.autocast. The update is
the fused SGD where this version has it for CPUs, otherwise the one over lists of tensors ("foreach").
"""
import torch
from torch import nn

import peer


def build_network():
    layers, channels = [], 1
    for width in peer.WIDTHS:
        if width == "pool":
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [nn.Conv2d(channels, width, kernel_size=3, padding=1), nn.ReLU(inplace=True)]
        channels = width
    layers.append(nn.Flatten())
    for features, width in zip([peer.FEATURES, *peer.DENSE], peer.DENSE):
        layers += [nn.Linear(features, width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers[:-1])  # no ReLU after the last layer


def build_optimizer(parameters, lr, momentum=peer.MOMENTUM, nesterov=True):
    settings = {"lr": lr, "momentum": momentum, "nesterov": nesterov}
    try:
        return torch.optim.SGD(parameters, fused=True, **settings)
    except (TypeError, RuntimeError):  # older than fused SGD, or than its CPU kernel
        return torch.optim.SGD(parameters, foreach=True, **settings)


def as_parameter(array):
    """A tensor laid out as PyTorch's parameters are: OIHW, (out, in)."""
    axes = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}[array.ndim]
    return torch.from_numpy(array.transpose(axes).copy())


class TorchPeer:
    version = f"PyTorch {torch.__version__}"

    @staticmethod
    def add_options(parser):
        parser.add_argument("--channels-last", action="store_true", help="NHWC memory")
        parser.add_argument("--compile", action="store_true", help="torch.compile the network")
        parser.add_argument("--static-graph", action="store_true", help="tell DistributedDataParallel that it is")
        parser.add_argument("--ranks", type=int, default=1)
        parser.add_argument("--rank", type=int, default=0)
        parser.add_argument("--rendezvous", metavar="FILE", help="by which ranks find each other; must not exist before")

    def __init__(self, options):
        self.options = options
        torch.set_num_threads(options.threads)
        torch.manual_seed(0)
        self.layout = torch.channels_last if options.channels_last else torch.contiguous_format
        self.network = self.replica = build_network().to(memory_format=self.layout)
        if options.ranks > 1:
            torch.distributed.init_process_group("gloo", init_method=f"file://{options.rendezvous}", rank=options.rank,
                                                 world_size=options.ranks)
            self.replica = nn.parallel.DistributedDataParallel(self.network, gradient_as_bucket_view=True,
                                                               static_graph=options.static_graph)
        if options.compile:
            self.replica = torch.compile(self.replica)
        self.optimizer = build_optimizer(self.network.parameters(), options.lr)

    def load(self, weights, velocity):
        with torch.no_grad():
            for parameter, value, moving in zip(self.network.parameters(), weights, velocity):
                parameter.copy_(as_parameter(value))
                # Keras' velocity is the change of the weight, PyTorch's a sum of gradients.
                buffer = torch.empty_like(parameter).copy_(as_parameter(moving) / -self.options.lr)
                self.optimizer.state[parameter]["momentum_buffer"] = buffer

    def tensors(self, images, labels):
        images = torch.from_numpy(images).permute(0, 3, 1, 2)
        return images.contiguous(memory_format=self.layout), torch.from_numpy(labels)

    def step(self, images, labels):
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.options.precision == "bf16"):
            logits = self.replica(images)
        loss = nn.functional.cross_entropy(logits.float(), labels)
        if self.options.ranks > 1:  # which takes the mean over ranks, whose parts need not be equal
            loss = loss * (len(labels) * self.options.ranks / self.options.batch)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), peer.CLIP_NORM)
        self.optimizer.step()
        loss = loss.detach()
        if self.options.check and self.options.ranks > 1:
            torch.distributed.all_reduce(loss)
            loss /= self.options.ranks
        return loss, norm


if __name__ == "__main__":
    peer.main(TorchPeer, __doc__)
