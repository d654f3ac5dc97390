"""Weight files read by others than this program: JSON and NumPy for safetensors, h5py for HDF5. All in the layout of a checkpoint."""
import json
import struct

import numpy

NAMES = [f"{layer}.{kind}" for layer in [f"conv{i}" for i in range(1, 9)] + [f"fc{i}" for i in range(1, 5)] for kind in ("kernel", "bias")]
TORCH_LAYERS = [f"features.{i}" for i in (0, 3, 6, 8, 11, 13, 16, 18)] + [f"classifier.{i}" for i in (0, 3, 6, 8)]
KERAS_LAYERS = ["conv2d"] + [f"conv2d_{i}" for i in range(1, 8)] + ["dense"] + [f"dense_{i}" for i in range(1, 4)]
TORCH_NAMES = [f"{layer}.{kind}" for layer in TORCH_LAYERS for kind in ("weight", "bias")]
KERAS_NAMES = [f"layers/{layer}/vars/{k}" for layer in KERAS_LAYERS for k in range(2)]
# From PyTorch's axes to ours, by their number: OIHW to HWIO, (out, in) to (in, out).
AXES = {1: (0,), 2: (1, 0), 4: (2, 3, 1, 0)}


def read_safetensors(path):
    """The header, and arrays by name as they are in the file."""
    with open(path, "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        body = file.read()
    arrays = {}
    for name, entry in header.items():
        if name != "__metadata__":
            assert entry["dtype"] == "F32"
            arrays[name] = numpy.frombuffer(body[slice(*entry["data_offsets"])], "<f4").reshape(entry["shape"])
    return header, arrays


def write_safetensors(path, header, body):
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + body)


def own_weights(path):
    return {name: array for name, array in read_safetensors(path)[1].items() if not name.startswith("velocity.")}


def torch_weights(path):
    arrays = read_safetensors(path)[1]
    assert sorted(arrays) == sorted(TORCH_NAMES), sorted(arrays)
    return {name: arrays[theirs].transpose(AXES[arrays[theirs].ndim]) for name, theirs in zip(NAMES, TORCH_NAMES)}


def keras_weights(path):
    import h5py
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    assert sorted(found) == sorted(KERAS_NAMES), sorted(found)
    return {name: found[theirs] for name, theirs in zip(NAMES, KERAS_NAMES)}


READERS = {"weights": own_weights, "pytorch": torch_weights, "keras": keras_weights}


def differing(found, expected):
    """Names of tensors that have other bits, or another shape; what unittest would print of them has no end."""
    return [name for name in NAMES if found[name].shape != expected[name].shape or found[name].tobytes() != expected[name].tobytes()]


def convolve(maps, kernel, bias):
    """PyTorch's: maps (images, channels, height, width), kernel OIHW, one pixel of zero padding."""
    images, channels, height, width = maps.shape
    padded = numpy.pad(maps, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = numpy.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))  # images, channels, height, width, 3, 3
    columns = windows.transpose(0, 2, 3, 1, 4, 5).reshape(images * height * width, channels * 9)
    sums = columns @ kernel.reshape(len(kernel), -1).T + bias
    return sums.reshape(images, height, width, len(kernel)).transpose(0, 3, 1, 2)


def torch_logits(arrays, inputs):
    """The logits of inputs (images, 1, 32, 32) by the arrays of a file in format pytorch, in double precision."""
    maps = inputs.astype(numpy.float64)
    for number, layer in enumerate(TORCH_LAYERS):
        weight, bias = (arrays[f"{layer}.{kind}"].astype(numpy.float64) for kind in ("weight", "bias"))
        if layer.startswith("features"):
            maps = numpy.maximum(convolve(maps, weight, bias), 0)
            if number in (0, 1, 3, 5, 7):
                images, channels, height, width = maps.shape
                maps = maps.reshape(images, channels, height // 2, 2, width // 2, 2).max(axis=(3, 5))
        else:
            maps = maps.reshape(len(maps), -1) @ weight.T + bias
            if number < len(TORCH_LAYERS) - 1:
                maps = numpy.maximum(maps, 0)
    return maps


def log_softmax(logits):
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - numpy.log(numpy.exp(shifted).sum(axis=1, keepdims=True))
