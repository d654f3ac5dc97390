"""What ends a run from outside: signals that ask for it, ranks that are stopped or killed, launchers that die."""
import os
import shutil
import signal
import subprocess
import unittest

import cli

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, os.pardir, "launch", "local.sh")
ASKING = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
HANG_S = int(6 * float(os.environ.get("VGG11_TEST_SLOWNESS", "1")))
LAST = cli.RANKS - 1
CHECKPOINT_BYTES = 250_000_000  # at least
ENDS = sorted({0, LAST})  # ranks that something is done to

ENDLESS = ["train", *cli.TINY, "--epochs", "1000", "--checkpoint-every", "0", "--output", "run", "--quiet"]
# One step an epoch, and an evaluation after it that takes far longer.
EVALUATING = ["train", *cli.TINY, "--train-samples", "16", "--test-samples", "1200", "--epochs", "1000", "--output", "run", "--quiet"]
SAVING = [*ENDLESS, "--checkpoint-steps", "1", "--keep", "1"]
PHASES = {"step": ENDLESS, "evaluation": EVALUATING, "checkpoint": SAVING}


class Case(cli.Case):
    def start_script(self, arguments, **options):
        """Through launch/local.sh."""
        self.environment.update(VGG11_DIST=cli.PROGRAM, MPIRUN=cli.MPIRUN, MPIRUN_FLAGS="--quiet")
        return self.start([SCRIPT, "--ranks", str(cli.RANKS), "--threads", "1", *arguments], **options)

    def expect_saved(self, process, name="SIGUSR1"):
        """It ends with one line, and a checkpoint of its last step, whose number this returns."""
        outcome = self.finish(process)
        self.assertEqual(outcome.status, 75, outcome.err)
        self.assertEqual(len(outcome.errors()), 1, outcome.err)
        self.assertRegex(outcome.errors()[0], f"stopped by {name} after step .*--resume")
        stopped = cli.events(self.path("run"), "step")[-1]["step"]
        self.assertEqual(cli.checkpoints(self.path("run"))[-1], f"checkpoint-{stopped:08d}.safetensors")
        return stopped

    def is_saving(self):
        """Whether a temporary file has room for a checkpoint, which is reserved first; what else is written is small."""
        with os.scandir(self.path("run")) as entries:
            for entry in entries:
                try:
                    if entry.name.startswith(".vgg11-") and entry.stat().st_size > CHECKPOINT_BYTES:
                        return True
                except FileNotFoundError:
                    pass  # it got its name meanwhile
        return False

    def send_in(self, phase, process, rank, number):
        """Sends the signal to the rank in that phase of the run."""
        self.wait_for_step(1 if phase == "evaluation" else 2, process)
        while phase == "checkpoint":
            self.wait_for("a save", self.is_saving, process)
            os.kill(self.rank(rank), signal.SIGSTOP)
            if self.is_saving():
                break
            os.kill(self.rank(rank), signal.SIGCONT)  # it was just over
        os.kill(self.rank(rank), number)

    def in_each_phase(self, check):
        """A run each in which that is done to the first and to the last rank."""
        for phase, arguments in PHASES.items():
            for rank in ENDS:
                with self.subTest(phase=phase, rank=rank):
                    check(phase, rank, arguments)
                    self.assertEqual(self.job.left(), [], self.job.describe())
                shutil.rmtree(self.path("run"))


class Stop(Case):
    """Signals to one rank."""

    def test_each_that_asks_for_the_end(self):
        stopped = 0
        for number, rank in zip(ASKING, [LAST, 0, LAST]):
            with self.subTest(signal=number):
                process = self.start(cli.launch([*ENDLESS, "--resume=auto"]))
                self.wait_for_step(stopped + 1, process)
                os.kill(self.rank(rank), number)
                stopped = self.expect_saved(process, signal.Signals(number).name)

    def test_evaluation_is_given_up_and_made_up_for(self):
        process = self.start(cli.launch(EVALUATING))
        self.wait_for_step(1, process)
        os.kill(self.rank(LAST), signal.SIGTERM)
        self.assertEqual(self.expect_saved(process, "SIGTERM"), 1)
        self.assertEqual(cli.events(self.path("run"), "eval"), [])
        for options in [["run", "--resume"], ["whole"]]:
            outcome = self.run_program(*EVALUATING, "--max-steps", "2", "--output", *options)
            self.assertEqual(outcome.status, 0, outcome.err)
        for kind in ["step", "eval"]:
            self.assertEqual([event["step"] for event in cli.events(self.path("run"), kind)], [1, 2])
        for name in ["checkpoint-00000002.safetensors", "best.safetensors"]:
            self.assertEqual(cli.tensors(self.path("run", name)), cli.tensors(self.path("whole", name)), name)

    def test_hangup_stays_ignored(self):
        """As nohup leaves it."""
        command = cli.launch(ENDLESS)
        at = command.index(cli.PROGRAM)
        process = self.start([*command[:at], "sh", "-c", 'trap "" HUP; exec "$@"', "sh", *command[at:]])
        self.wait_for_step(1, process)
        os.kill(self.rank(0), signal.SIGHUP)
        self.wait_for_step(len(cli.events(self.path("run"), "step")) + 2, process)
        os.kill(self.rank(0), signal.SIGTERM)
        self.expect_saved(process, "SIGTERM")

    def test_file_that_may_not_grow(self):
        """Its error is told, though the system has a signal for it that would end the process. Of several ranks the shared memory would be
        too large a file, too."""
        saving = ["train", *cli.TINY, "--checkpoint-steps", "1", "--max-steps", "2", "--output", "run", "--quiet"]
        outcome = self.run_command(["bash", "-c", 'ulimit -f 10000; exec "$@"', "bash", *cli.launch(saving, 1)])
        self.assertEqual(outcome.status, 5, outcome.err)
        self.assertEqual(len(outcome.errors()), 1, outcome.err)
        self.assertRegex(outcome.err, r"warning: run/checkpoint-00000001\.safetensors: .*File too large; the run goes on")
        self.assertRegex(outcome.errors()[0], r"checkpoint-00000002\.safetensors: .*File too large")

    def test_slow_rank_changes_nothing(self):
        four = ["train", *cli.TINY, "--hang-timeout", str(10 * HANG_S), "--quiet", "--output"]
        process = self.start(cli.launch([*four, "run"]))
        self.wait_for_step(1, process)
        slow = self.rank(LAST)
        os.kill(slow, signal.SIGSTOP)
        with self.assertRaises(subprocess.TimeoutExpired):
            process.wait(1)
        os.kill(slow, signal.SIGCONT)
        self.assertEqual(self.finish(process).status, 0)
        self.assertEqual(self.run_program(*four, "whole").status, 0)
        last = cli.checkpoints(self.path("whole"))[-1]
        self.assertEqual(cli.tensors(self.path("run", last)), cli.tensors(self.path("whole", last)))


class Launcher(Case):
    """Signals to what starts the ranks."""

    def setUp(self):
        super().setUp()
        # A killed mpirun leaves its files behind.
        for name in ["TMPDIR", "OMPI_MCA_btl_vader_backing_directory", "OMPI_MCA_osc_sm_backing_directory"]:
            self.environment[name] = self.path("of-mpirun")
        os.mkdir(self.path("of-mpirun"))

    def test_script_passes_signals_on(self):
        stopped = 0
        for number in [*ASKING, signal.SIGUSR1]:
            with self.subTest(signal=number):
                process = self.start_script([*ENDLESS, "--resume=auto"])
                self.wait_for_step(stopped + 1, process)
                process.send_signal(number)
                stopped = self.expect_saved(process)

    def test_interrupt_from_the_terminal(self):
        """It goes to all processes of the foreground."""
        process = self.start_script(ENDLESS, start_new_session=True)
        self.wait_for_step(1, process)
        os.killpg(process.pid, signal.SIGINT)
        self.expect_saved(process)

    def test_end_that_is_asked_for_twice(self):
        """A rank that is stopped cannot save: whoever asks again need not wait for it."""
        process = self.start_script(ENDLESS)
        self.wait_for_step(1, process)
        os.kill(self.rank(LAST), signal.SIGSTOP)
        self.ask_until_it_ends(process)
        self.assertNotIn(process.returncode, [0, 75])
        self.finish(process)

    def ask_until_it_ends(self, process):
        """Twice within a second is once."""
        for _ in range(int(cli.LIMIT_S)):
            process.send_signal(signal.SIGINT)
            try:
                process.wait(1)
                return
            except subprocess.TimeoutExpired:
                pass
        self.hang(process, "an end that is asked for again and again")

    def test_killed_script(self):
        """The ranks save and stop, though nobody asks for their status any more."""
        process = self.start_script(ENDLESS)
        self.wait_for_step(1, process)
        process.kill()
        self.finish(process)
        self.assertEqual(self.job.left(cli.LIMIT_S), [], self.job.describe())
        self.assertEqual(len(cli.checkpoints(self.path("run"))), 1)

    def test_killed_mpirun(self):
        process = self.start_script(ENDLESS)
        self.wait_for_step(1, process)
        launcher, = self.programs(os.path.basename(cli.MPIRUN))
        os.kill(launcher, signal.SIGKILL)
        self.assertEqual(self.finish(process).status, 128 + signal.SIGKILL)

    def test_killed_mpirun_and_a_rank_that_is_stopped(self):
        process = self.start_script(ENDLESS)
        self.wait_for_step(1, process)
        os.kill(self.rank(LAST), signal.SIGSTOP)
        launcher, = self.programs(os.path.basename(cli.MPIRUN))
        os.kill(launcher, signal.SIGKILL)
        self.assertEqual(self.finish(process).status, 128 + signal.SIGKILL)


class Hang(Case):
    """A rank that is stopped, in any phase: one line that names it, and the end of all."""

    def test_stopped_rank(self):
        self.in_each_phase(self.stop)

    def stop(self, phase, rank, arguments):
        # Else training goes on beside the writing, and the rank is anywhere.
        waiting = ["--no-background-saves"] if phase == "checkpoint" else []
        process = self.start(cli.launch([*arguments, *waiting, "--hang-timeout", str(HANG_S)]))
        self.wait_for_step(1, process)
        stopped = self.rank(rank)
        self.send_in(phase, process, rank, signal.SIGSTOP)
        outcome = self.finish(process)
        self.assertEqual(outcome.status, 8, outcome.err)
        self.assertEqual(len(outcome.errors()), 1, outcome.err)
        # Of an evaluation the last step's line is told before it begins; and the others may be a little ahead.
        where = {"step": "(forward and backward pass|the exchange of gradients|the update of weights)",
                 "evaluation": "(the update of weights|the evaluation)", "checkpoint": "the checkpoint"}[phase]
        self.assertRegex(outcome.errors()[0],
                         rf"^vgg11_dist: no progress for {HANG_S} s \(--hang-timeout\): rank {LAST - rank if cli.RANKS == 2 else '[0-9]'} "
                         rf"on \S+ is in .* of step \d+; rank {rank} there, process {stopped}, has not run for \d+ s: "
                         rf"it is in {where} of step \d+$")


class Death(Case):
    """A rank that is killed, in any phase, ends all."""

    def test_killed_rank(self):
        self.in_each_phase(self.kill)

    def kill(self, phase, rank, arguments):
        process = self.start(cli.launch(arguments))
        self.wait_for_step(1, process)
        self.send_in(phase, process, rank, signal.SIGKILL)
        self.assertIn(self.finish(process).status, [128 + signal.SIGKILL, -signal.SIGKILL])


if __name__ == "__main__":
    unittest.main()
