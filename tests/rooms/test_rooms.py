"""The rooms of src/: who includes whom.

Each src/<room>/CMakeLists.txt names the rooms below it (vgg_add_layer ... BELOW ...). Headers that are looked for must be the
room's own or of such a room, MPI stays in comm and exchange, BLAS in kernels, oneDNN in conv, libpng in data and HDF5 in checkpoint, and no room's files need each
other in a circle."""
import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PRIVATE = {"mpi.h": {"comm", "exchange"}, "cblas.h": {"kernels"}, "oneapi/dnnl/dnnl.h": {"conv"}, "png.h": {"data"},
           "hdf5.h": {"checkpoint"}}
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def rooms_below():
    below = {}
    for room in sorted(os.listdir(os.path.join(ROOT, "src"))):
        path = os.path.join("src", room, "CMakeLists.txt")
        if not os.path.exists(os.path.join(ROOT, path)):
            continue
        layer = re.search(r"vgg_add_layer\((.*?)\)\n", read(path), re.DOTALL).group(1)
        words = re.search(r"BELOW(.*?)(?:PRIVATE_LIBS|$)", layer, re.DOTALL)
        below[room] = set(words.group(1).split()) if words else set()
    return below


def sources():
    for top in ("src", "include/vgg11"):
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            for name in sorted(names):
                path = os.path.relpath(os.path.join(folder, name), ROOT)
                if path.endswith((".c", ".h")):
                    yield path, os.path.relpath(path, top).split(os.sep)[0]


def room_of(header):
    parts = header.split("/")
    return parts[1] if parts[0] == "vgg11" else parts[0]


def path_of(header):
    return ("include/" if header.startswith("vgg11/") else "src/") + header


def circle(edges):
    """A list of nodes that lead to the first again, or None."""
    done, stack = set(), []

    def visit(node):
        if node in stack:
            return stack[stack.index(node):]
        if node in done:
            return None
        stack.append(node)
        for other in sorted(edges.get(node, ())):
            found = visit(other)
            if found:
                return found
        stack.pop()
        done.add(node)
        return None

    for start in sorted(edges):
        found = visit(start)
        if found:
            return found
    return None


class Rooms(unittest.TestCase):
    def test_includes_go_down(self):
        below, wrong = rooms_below(), []
        for path, room in sources():
            for own, system in INCLUDE.findall(read(path)):
                if own and room_of(own) in below and room_of(own) != room and room_of(own) not in below[room]:
                    wrong.append(f"{path} includes {own}: {room} is not above {room_of(own)}")
                if system in PRIVATE and room not in PRIVATE[system]:
                    wrong.append(f"{path} includes {system}, which is for {sorted(PRIVATE[system])}")
        self.assertEqual(wrong, [])

    def test_rooms_lie_in_layers(self):
        self.assertIsNone(circle(rooms_below()))

    def test_headers_include_in_no_circle(self):
        edges = {path: {path_of(own) for own, _ in INCLUDE.findall(read(path)) if own} for path, _ in sources()}
        self.assertIsNone(circle(edges))


class Control(unittest.TestCase):
    """The checks notice what they are for."""

    def test_a_circle_is_found(self):
        self.assertEqual(circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}), ["b", "c"])
        self.assertIsNone(circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}))

    def test_includes_are_read(self):
        self.assertEqual(INCLUDE.findall('#include "a/b.h"\n  # include <mpi.h>\n'), [("a/b.h", ""), ("", "mpi.h")])
        self.assertGreater(len(list(sources())), 100)


if __name__ == "__main__":
    unittest.main()
