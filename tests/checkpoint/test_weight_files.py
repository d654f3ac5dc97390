"""Weight files: what others read of them, that they come back bit by bit, and that what is damaged, foreign or hostile is refused."""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "support"))
try:
    import h5py
    import numpy
    import weight_arrays
except ImportError as reason:
    print(f"skipped: {reason}")
    sys.exit(77)

TOOL = os.environ["VGG11_WEIGHT_FILES"]
FORMATS = ["weights", "pytorch"] + ["keras"] * (os.environ["VGG11_HDF5"] == "1")
BAD = 4


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="vgg11-weights-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        for name in FORMATS:
            subprocess.run([TOOL, "write", name, cls.path(name)], check=True)

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder, name)

    def call(self, *arguments):
        done = subprocess.run([TOOL, *arguments], capture_output=True, text=True, check=False)
        self.assertIn(done.returncode, [0, 1], done.stderr)
        self.assertEqual(done.stderr, "")
        return done.returncode, done.stdout.splitlines()

    def assert_same(self, path, name):
        self.assertEqual(self.call("same", path), (0, [f"0 {name}"]))

    def assert_refused(self, path, reason):
        status, lines = self.call("read", path)
        self.assertEqual((status, len(lines)), (1, 1), lines)
        self.assertRegex(lines[0], f"^{BAD} {path}: .*{reason}")


class Sound(Case):
    def test_others_read_the_bits_of_the_checkpoint(self):
        expected = weight_arrays.own_weights(self.path("weights.checkpoint"))
        self.assertEqual(sorted(expected), sorted(weight_arrays.NAMES))
        for name in FORMATS:
            with self.subTest(format=name):
                self.assertEqual(weight_arrays.differing(weight_arrays.READERS[name](self.path(name)), expected), [])

    def test_they_come_back(self):
        for name in FORMATS:
            self.assert_same(self.path(name), name)
            self.assert_same(self.path(name + ".checkpoint"), "weights")

    def test_the_same_weights_are_the_same_file(self):
        for name in FORMATS:
            subprocess.run([TOOL, "write", name, self.path("again")], check=True)
            with open(self.path(name), "rb") as first, open(self.path("again"), "rb") as second:
                self.assertEqual(first.read() == second.read(), True, name)

    def test_what_is_said_of_the_pictures(self):
        header, _ = weight_arrays.read_safetensors(self.path("pytorch"))
        self.assertEqual([header["__metadata__"][key] for key in ("format", "step")], ["pt", "42"])
        self.assertEqual([float(header["__metadata__"][key]) for key in ("pixel_mean", "pixel_deviation")], [0.1307, 0.3081])
        if "keras" in FORMATS:
            with h5py.File(self.path("keras")) as file:
                self.assertEqual([file.attrs[key] for key in ("step", "pixel_mean", "pixel_deviation")], [42, 0.1307, 0.3081])

    def test_as_others_write_them(self):
        """PyTorch's library sorts tensors by name and sums up nothing; Keras adds groups without variables, and its optimizer."""
        _, arrays = weight_arrays.read_safetensors(self.path("pytorch"))
        header, body = {}, b""
        for name in sorted(arrays):
            data = arrays[name].tobytes()
            header[name] = {"dtype": "F32", "shape": list(arrays[name].shape), "data_offsets": [len(body), len(body) + len(data)]}
            body += data
        weight_arrays.write_safetensors(self.path("sorted"), header, body)
        self.assert_same(self.path("sorted"), "pytorch")
        if "keras" not in FORMATS:
            return
        with h5py.File(self.path("keras")) as file, h5py.File(self.path("saved"), "w") as other:
            for name in weight_arrays.KERAS_NAMES:
                other[name] = file[name][()]
            other["optimizer/vars/0"] = numpy.float32(0.1)
            for name in ["vars", "layers/flatten/vars", "layers/dropout/vars", "layers/dropout/seed_generator/vars"]:
                other.create_group(name).attrs["name"] = "name"
            other["layers/dropout/seed_generator/vars/0"] = numpy.zeros(2, "uint32")
        self.assert_same(self.path("saved"), "keras")


class Refused(Case):
    def change_safetensors(self, name, change, reason):
        """`change` gets header and body of the file in format `name`, and returns the body."""
        header, _ = weight_arrays.read_safetensors(self.path(name))
        with open(self.path(name), "rb") as file:
            start = 8 + struct.unpack("<Q", file.read(8))[0]
            file.seek(start)
            body = bytearray(file.read())
        weight_arrays.write_safetensors(self.path("changed"), header, change(header, body) or body)
        self.assert_refused(self.path("changed"), reason)

    def test_pytorch(self):
        def shape(header, body):
            header["classifier.3.weight"]["shape"] = [4096, 4096, 1]

        def turned(header, body):
            header["classifier.0.weight"]["shape"].reverse()

        def half(header, body):
            header["features.0.bias"].update(dtype="F16", data_offsets=[0, 128])

        def missing(header, body):
            del header["classifier.8.bias"]

        def more(header, body):
            header["features.1.weight"] = header["features.0.bias"]

        def outside(header, body):
            header["classifier.8.bias"]["data_offsets"] = [len(body), len(body) + 40]

        def negative(header, body):
            header["classifier.8.bias"]["data_offsets"] = [-40, 0]

        def not_finite(header, body):
            del header["__metadata__"]
            struct.pack_into("<f", body, header["features.3.weight"]["data_offsets"][0] + 400, float("nan"))

        def flipped(header, body):
            body[-30000] ^= 1

        def cut(header, body):
            return body[:-4]
        for change, reason in [(shape, "classifier.3.weight: shape"), (turned, "classifier.0.weight: shape"), (half, "dtype is not F32"),
                               (missing, "classifier.8.bias: tensor is missing"), (more, "holds 25 tensors"),
                               (outside, "classifier.8.bias: data_offsets"), (negative, "classifier.8.bias: data_offsets"),
                               (not_finite, "features.3.weight holds numbers that are not finite"), (flipped, "does not match its checksum"),
                               (cut, "data_offsets")]:
            with self.subTest(change=change.__name__):
                self.change_safetensors("pytorch", change, reason)

    def test_weights(self):
        def flipped(header, body):
            body[-30000] ^= 1

        def missing(header, body):
            del header["fc4.bias"]

        def cut(header, body):
            return body[:-4]
        for change, reason in [(flipped, "does not match its checksum"), (missing, "does not match|missing"), (cut, "has .* bytes")]:
            with self.subTest(change=change.__name__):
                self.change_safetensors("weights", change, reason)

    @unittest.skipUnless("keras" in FORMATS, "a build without HDF5")
    def test_keras(self):
        last = "layers/dense_3/vars/0"

        def replace(file, value, name=last):
            del file[name]
            file[name] = value

        def external(file):
            del file[last]
            file[last] = h5py.ExternalLink(self.path("keras"), last)

        def raw(file):
            del file[last]
            file.create_dataset(last, (1000, 10), "<f4", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])

        def virtual(file):
            layout = h5py.VirtualLayout((1000, 10), "<f4")
            layout[:] = h5py.VirtualSource(self.path("keras"), last, (1000, 10))
            del file[last]
            file.create_virtual_dataset(last, layout)

        def not_finite(file):
            file[last][3, 4] = numpy.inf
            del file[last].attrs["crc32c"]

        def long_sum(file):
            file[last].attrs["crc32c"] = numpy.zeros(1000, "uint32")
        for change, reason in [(lambda file: file.__delitem__(last), f"{last}: is missing"),
                               (lambda file: file.__delitem__("layers"), "is no group of a network's layers"),
                               (lambda file: replace(file, 5, "layers"), "is no group|is missing"),
                               (lambda file: replace(file, 5, "layers/dense_3"), "is missing"),
                               (lambda file: replace(file, file[last][()].T), f"{last}: shape"),
                               (lambda file: replace(file, file[last][()].astype("f8")), f"{last}: is not of 32-bit floats"),
                               (lambda file: replace(file, numpy.zeros((1000, 10, 1), "<f4")), f"{last}: shape"),
                               (lambda file: replace(file, h5py.SoftLink("/layers/dense_2/vars/0")), f"{last}: is missing"),
                               (external, f"{last}: is missing"), (raw, f"{last}: lies in another file"),
                               (virtual, f"{last}: lies in another file"), (not_finite, "not finite"), (long_sum, "damaged"),
                               (lambda file: file[last].__setitem__((3, 4), 7), "does not match its checksum"),
                               (lambda file: file.__setitem__("layers/batch_normalization/vars/0", 1.0), "that VGG11 does not have"),
                               (lambda file: file.__setitem__(b"layers/\xff\x1b[1m/vars/0", 1.0), r"layers/\?\?\[1m/vars: is a layer")]:
            shutil.copy(self.path("keras"), self.path("changed"))
            with h5py.File(self.path("changed"), "r+") as file:
                change(file)
            with self.subTest(reason=reason):
                self.assert_refused(self.path("changed"), reason)

    @unittest.skipUnless("keras" in FORMATS, "a build without HDF5")
    def test_damaged_keras(self):
        """Bytes of the structure, each overwritten in turn: what is read is refused, or it is right."""
        shutil.copy(self.path("keras"), self.path("changed"))
        with open(self.path("changed"), "r+b") as file:
            whole = os.path.getsize(self.path("changed"))
            for cut in [9, 100, 4096, whole // 2, whole - 1]:
                os.truncate(self.path("changed"), cut)
                self.assert_refused(self.path("changed"), "")
            with open(self.path("keras"), "rb") as sound:
                file.write(sound.read())
            for place in range(8, 4096, 181):
                file.seek(place)
                byte = file.read(1)[0]
                file.seek(place)
                file.write(bytes([byte ^ 0xff]))
                file.flush()
                status, lines = self.call("same", self.path("changed"))
                self.assertTrue(status == 0 or lines[0].startswith(f"{BAD} "), (place, lines))
                file.seek(place)
                file.write(bytes([byte]))

    def test_other_files(self):
        for name, data in [("empty", b""), ("short", b"{}"), ("text", b"no weights, but words"), ("zip", b"PK\x03\x04" + bytes(100)),
                           ("hdf5", b"\x89HDF\r\n\x1a\n" + bytes(1000)), ("length", struct.pack("<Q", 1 << 60) + b"{}"),
                           ("object", struct.pack("<Q", 2) + b"{}"), ("json", struct.pack("<Q", 5) + b"{nop}"),
                           ("list", struct.pack("<Q", 9) + b'{"a":[]} ' + json.dumps([]).encode())]:
            with open(self.path(name), "wb") as file:
                file.write(data)
            with self.subTest(name=name):
                self.assert_refused(self.path(name), "")
        os.mkfifo(self.path("pipe"))
        for name in ["nowhere", "pipe", "."]:
            self.assert_refused(self.path(name), "")


if __name__ == "__main__":
    unittest.main()
