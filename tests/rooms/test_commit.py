"""The header that names the commit which is built."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "cmake/write_commit.cmake"


class Commit(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name, "sources")
        self.folder.mkdir()
        self.header = self.folder.parent / "commit.h"

    def git(self, *words):
        author = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        return subprocess.run(["git", "-C", self.folder, *author, *words], check=True, text=True, stdout=subprocess.PIPE).stdout.strip()

    def commit(self, text):
        (self.folder / "file").write_text(text)
        self.git("add", ".")
        self.git("commit", "-q", "-m", text)
        return self.git("rev-parse", "--short=12", "HEAD")

    def written(self, folder=None):
        subprocess.run([os.environ["CMAKE"], f"-DSOURCE={folder or self.folder}", f"-DOUTPUT={self.header}", "-P", SCRIPT], check=True)
        return self.header.read_text().split('#define VGG11_COMMIT "')[1].split('"')[0]

    def test_commit_and_changes(self):
        self.git("init", "-q")
        first = self.commit("one")
        self.assertEqual(self.written(), first)
        (self.folder / "not added").write_text("left alone")
        self.assertEqual(self.written(), first)
        (self.folder / "file").write_text("changed")
        self.assertEqual(self.written(), first + "+")
        second = self.commit("two")
        self.assertNotEqual(second, first)
        self.assertEqual(self.written(), second)

    def test_written_only_when_it_changes(self):
        self.git("init", "-q")
        self.commit("one")
        self.written()
        os.utime(self.header, (1, 1))
        self.written()
        self.assertEqual(self.header.stat().st_mtime, 1)

    def test_sources_that_are_no_repository(self):
        """Unpacked from an archive, be it within somebody's own repository."""
        self.assertEqual(self.written(), "")
        self.git("init", "-q")
        self.assertEqual(self.written(), "")
        self.commit("one")
        inner = self.folder / "inner"
        inner.mkdir()
        self.assertEqual(self.written(inner), "")


if __name__ == "__main__":
    if not shutil.which("git"):
        print("skipped: git is not installed")
        sys.exit(77)
    unittest.main()
