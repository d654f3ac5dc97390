"""Other numbers in a checkpoint, and every checksum as if it had been written so."""
import json
import struct

from crc32c import crc32c


def change_tensor(path, tensor, change):
    """`change` is given the tensor's bytes, to change in place."""
    with open(path, "r+b") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(length))
        first, end = header[tensor]["data_offsets"]
        file.seek(8 + length + first)
        data = bytearray(file.read(end - first))
        change(data)
        file.seek(8 + length + first)
        file.write(data)
        header["__metadata__"]["crc32c." + tensor] = f"{crc32c(data):08x}"
        write_header(file, header, length)


def write_header(file, header, length):
    said = header["__metadata__"]
    del said["metadata_crc32c"]
    whole = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    said["metadata_crc32c"] = f"{crc32c(whole.encode()):08x}"
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    assert len(text) <= length
    file.seek(8)
    file.write(text.ljust(length))


def say(path, name, value):
    """Another word in the metadata, no longer than the one that it replaces."""
    with open(path, "r+b") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(length))
        assert name in header["__metadata__"]
        header["__metadata__"][name] = value
        write_header(file, header, length)


def flip_bit(path, tensor, index, bit):
    """One bit of one number; returns what the number is then."""
    found = []

    def flip(data):
        data[4 * index + bit // 8] ^= 1 << bit % 8
        found.append(struct.unpack_from("<f", data, 4 * index)[0])
    change_tensor(path, tensor, flip)
    return found[0]


def fill(path, tensor, value):
    def put(data):
        data[:] = struct.pack("<f", value) * (len(data) // 4)
    change_tensor(path, tensor, put)
