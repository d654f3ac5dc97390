"""The program as it is after installing: in a folder of the user's own, and from its Debian package."""
import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "app"))
import cli
from test_help import complete

BUILD = os.environ["VGG11_BUILD"]
SMALL = ["--train-samples", "32", "--test-samples", "10", "--batch-size", "16", "--no-tune", "--checkpoint-every", "0"]


def script(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write("#!/usr/bin/env bash\nset -euo pipefail\n" + text + "\n")
    os.chmod(path, 0o755)


def run_quietly(*command, **options):
    subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)


class Installed(cli.Case):
    """What both ways of installing have in common; `prefix` has bin and share."""
    prefix = scratch = None

    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.mkdtemp(prefix="vgg11-install-")
        try:
            cls.install()
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.scratch)

    @classmethod
    def install(cls):
        raise NotImplementedError

    def setUp(self):
        super().setUp()
        for name in ["VGG11_DIST", "VGG11_DATA", "VGG11_TREE", "LD_LIBRARY_PATH", "MANPATH"]:
            self.environment.pop(name, None)

    def at(self, *names):
        return os.path.join(self.prefix, *names)

    def succeed(self, *command):
        outcome = self.run_command(list(command))
        self.assertEqual(outcome.status, 0, outcome.err + outcome.out)
        return outcome

    def launch_script(self, name):
        return self.at("share", "vgg11_dist", "launch", name)

    def check_ran(self, run, steps, ranks):
        with open(self.path(run, "config.json"), encoding="utf-8") as file:
            words = json.load(file)["provenance"]["command_line"]
        self.assertTrue(os.path.samefile(words[0], self.at("bin", "vgg11_dist")), words)
        self.assertEqual(len(cli.events(self.path(run), "step")), steps)
        self.assertEqual(cli.events(self.path(run), "start")[0]["ranks"], ranks)

    def check_program(self):
        self.assertRegex(self.succeed(self.at("bin", "vgg11_dist"), "--version").out, r"^vgg11_dist \d+\.\d+\.\d+\n$")

    def check_training(self):
        """Two steps on the data that was installed, which is the whole of MNIST."""
        data = self.at("share", "vgg11_dist", "mnist")
        names = sorted(os.listdir(data))
        self.assertEqual(filecmp.cmpfiles(data, cli.DATA, names, shallow=False), (names, [], []))
        self.assertEqual(len(names), 4)
        self.succeed(self.launch_script("local.sh"), "-n", "2", "train", *SMALL, "--max-steps", "2", "--output", "run")
        self.check_ran("run", 2, 2)


class Prefix(Installed):
    @classmethod
    def install(cls):
        cls.prefix = os.path.join(cls.scratch, "a prefix")
        run_quietly(os.environ["CMAKE"], "--install", BUILD, "--prefix", cls.prefix)

    def test_program(self):
        self.check_program()

    def test_training(self):
        self.check_training()

    def test_data_beside_the_program_goes_first(self):
        """Those of the source tree are those of a build, and may go."""
        data = self.at("share", "vgg11_dist", "mnist")
        os.rename(data, data + "-whole")
        try:
            cli.write_data(data)
            self.succeed(self.at("bin", "vgg11_dist"), "train", "--batch-size", "10", "--test-samples", "10", "--no-tune", "--checkpoint-every", "0",
                         "--max-steps", "2", "--output", "run")
        finally:
            shutil.rmtree(data)
            os.rename(data + "-whole", data)
        self.check_ran("run", 2, 1)
        self.assertEqual(cli.events(self.path("run"), "start")[0]["train_samples"], 20)

    def test_man_page(self):
        if not shutil.which("man"):
            self.skipTest("man is not installed")
        self.environment["PATH"] = self.at("bin") + os.pathsep + self.environment["PATH"]
        self.assertEqual(self.succeed("man", "-w", "vgg11_dist").out.strip(), self.at("share", "man", "man1", "vgg11_dist.1"))
        with open(self.at("share", "man", "man1", "vgg11_dist.1"), encoding="utf-8") as file:
            self.assertEqual(file.read(), self.succeed(cli.PROGRAM, "--help=man").out)

    def test_completion(self):
        installed = self.at("share", "bash-completion", "completions", "vgg11_dist")
        outcome = self.succeed("bash", "--norc", "-c", f'source "{installed}"; complete -p vgg11_dist')
        self.assertEqual(outcome.out, "complete -F _vgg11_dist vgg11_dist\n")
        self.assertEqual(complete(self.folder, installed, "--exchange", "="), (["auto", "node", "overlap", "allreduce"], ""))

    def test_scaling(self):
        """It starts the local.sh beside it, and that the program of the same prefix."""
        script(self.path("bin", "mpirun"), f'while [[ $1 != */vgg11_dist ]]; do shift; done; echo "$1" >>"{self.path("started")}"; exec "$@"')
        self.environment["MPIRUN"] = self.path("bin", "mpirun")
        self.succeed(self.launch_script("scaling.sh"), "--shapes", "1x1", "--steps", "2", "--repeats", "1", "--batch", "4",
                     "--batch-per-core", "2", "--output", "scaled", "--no-tune")
        with open(self.path("started"), encoding="utf-8") as file:
            started = file.read().splitlines()
        self.assertEqual([os.path.realpath(program) for program in started], 2 * [os.path.realpath(self.at("bin", "vgg11_dist"))])

    def test_batch_job(self):
        """Slurm runs a copy of the script, and tells by what name it was submitted. Stand-ins for its commands."""
        copy = shutil.copy(self.launch_script("vgg11.sbatch"), self.path("slurm_script"))
        script(self.path("bin", "scontrol"), f"printf '   Command=%s --quiet\\n' '{self.launch_script('vgg11.sbatch')}'")
        script(self.path("bin", "srun"), 'while [[ $1 == -* ]]; do shift; done; exec "$@"')
        self.environment.update(PATH=self.path("bin") + os.pathsep + self.environment["PATH"], LAUNCHER="srun", SLURM_JOB_ID="1",
                                SLURM_SUBMIT_DIR=self.folder, RUN_DIR="run")
        self.succeed("bash", copy, *SMALL, "--max-steps", "1")
        self.check_ran("run", 1, 1)

    def test_module(self):
        """MANPATH keeps its empty part, which stands for the system's own pages."""
        if not shutil.which("modulecmd"):
            self.skipTest("environment-modules is not installed")
        self.environment["MODULEPATH"] = self.at("share", "modulefiles")
        load = 'eval "$(modulecmd bash load vgg11_dist)"; printf "%s\\n" "$(command -v vgg11_dist)" "$MANPATH" "$VGG11_TREE"'
        found, pages, tree = self.succeed("bash", "--norc", "-c", load).out.splitlines()
        self.assertEqual((found, pages), (self.at("bin", "vgg11_dist"), self.at("share", "man") + ":"))
        self.assertTrue(os.access(os.path.join(tree, "launch", "vgg11.sbatch"), os.X_OK))

    def test_documents(self):
        """Their links to each other lead somewhere."""
        folder = self.at("share", "doc", "vgg11_dist")
        self.assertTrue(os.path.exists(os.path.join(folder, "LICENSE")))
        for place, _, names in os.walk(folder):
            for name in names:
                with open(os.path.join(place, name), encoding="utf-8") as file:
                    links = re.findall(r"\]\(([^):#]+)[)#]", file.read())
                for link in links:
                    self.assertTrue(os.path.exists(os.path.join(place, link)), f"{name}: {link}")


class Package(Installed):
    """Extracted and not installed, so that the test needs no root: what it needs of other packages is here, or it would not be built."""

    @classmethod
    def install(cls):
        for tool in ["dpkg-deb", "dpkg-shlibdeps", os.environ["CPACK"]]:
            if not shutil.which(tool):
                raise unittest.SkipTest(f"{tool} is not installed (Debian: dpkg-dev)")
        # As if for Ninja: with make, cpack would build what is built.
        run_quietly(os.environ["CPACK"], "-G", "DEB", "--config", os.path.join(BUILD, "CPackConfig.cmake"), "-B", cls.scratch,
                    "-D", "CPACK_CMAKE_GENERATOR=Ninja", cwd=cls.scratch)
        name, = [name for name in os.listdir(cls.scratch) if name.endswith(".deb")]
        cls.package = os.path.join(cls.scratch, name)
        root = os.path.join(cls.scratch, "root")
        run_quietly("dpkg-deb", "-x", cls.package, root)
        cls.prefix = os.path.join(root, "usr")

    def test_program(self):
        self.check_program()

    def test_training(self):
        self.check_training()

    def test_fields(self):
        outcome = self.succeed("dpkg-deb", "-f", self.package, "Package", "Depends")
        package, depends = outcome.out.splitlines()
        self.assertEqual(package, "Package: vgg11-dist")
        for library in ["libc6", "libgomp1", "libjansson4", "libxxhash0", "libopenmpi\\d+", "zlib1g", "openmpi-bin", "libopenblas0"]:
            self.assertRegex(depends, rf"[ ,]{library}( \(|,|$)")

    def test_content(self):
        """All is below /usr and root's, and nobody else may write to it."""
        listed = [line.split(None, 5) for line in self.succeed("dpkg-deb", "-c", self.package).out.splitlines()]
        names = {words[5] for words in listed}
        for name in ["bin/vgg11_dist", "share/man/man1/vgg11_dist.1", "share/bash-completion/completions/vgg11_dist",
                     "share/vgg11_dist/launch/local.sh", "share/vgg11_dist/mnist/t10k-images-idx3-ubyte.gz",
                     "share/doc/vgg11_dist/README.md"]:
            self.assertIn("./usr/" + name, names)
        for mode, owner, *_, name in listed:
            self.assertTrue(name == "./" or name.startswith("./usr/"), name)
            self.assertRegex(mode, "^[-d]rw[-x]r-[-x]r-[-x]$", name)
            self.assertEqual(owner, "root/root", name)

    def test_places(self):
        """The files name the places where the package puts them, and not those of the build."""
        for folder, _, names in os.walk(self.at("share", "modulefiles")):
            for name in names:
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    self.assertIn("set prefix {/usr}\n", file.read())


if __name__ == "__main__":
    unittest.main()
