"""Every bad input: its exit status, its one line, no hang, nothing left running."""
import gzip
import os
import subprocess
import unittest

import cli


class Options(cli.Case):
    def test_unknown_option(self):
        self.assert_refused(2, "unknown option 'bogus'", "--bogus")

    def test_learning_rate(self):
        for value in ["nan", "inf", "-1", "0x10", "1e999", "", " 5", "5x"]:
            with self.subTest(value=value):
                self.assert_refused(2, f"--lr '{value}': expected a number from", "--lr", value)

    def test_counts(self):
        self.assert_refused(2, "--epochs '-1': expected a whole number from 1", "--epochs", "-1")
        self.assert_refused(2, "--batch-size '0': expected a whole number from 1", "--batch-size", "0")
        self.assert_refused(2, "--seed '9223372036854775808'", "--seed", "9223372036854775808")

    def test_choices(self):
        self.assert_refused(2, "--resize 'lanczos': expected one of .*bilinear", "--resize", "lanczos")
        self.assert_refused(2, "--exchange 'pigeon': expected one of .*allreduce", "--exchange", "pigeon")

    def test_missing_value(self):
        self.assert_refused(2, "--lr: a value is missing", "--lr")

    def test_unknown_command(self):
        self.assert_refused(2, "unknown command 'help': expected one of train, eval", "help")

    def test_option_of_another_command(self):
        self.assert_refused(2, "--lr: not an option of info", "info", "--lr", "1")

    def test_configuration_file(self):
        with open(self.path("run.conf"), "w", encoding="utf-8") as file:
            file.write("epochs = 2\nlr = much\n")
        self.assert_refused(2, "run.conf:2: lr 'much': expected a number", "--config", "run.conf")
        self.assert_refused(2, "nowhere.conf: cannot open: No such file", "--config", "nowhere.conf")

    def test_algorithm_that_this_build_lacks(self):
        self.assert_refused(9, "abacus", *cli.TINY, "--quiet", "--conv", "abacus", "--output", "run")

    def test_algorithm_of_another_precision(self):
        tuned = [option for option in cli.TINY if option != "--no-tune"]
        for options in [cli.TINY, tuned]:
            with self.subTest(options=options):
                self.assert_refused(9, r"--conv reference: computes in fp32, and --precision bf16 .*\(.*emulated-bf16\)", *options,
                                    "--quiet", "--precision", "bf16", "--conv", "reference", "--output", "run")
        self.assert_refused(9, "emulated-bf16: computes in bf16, fp32 is asked for", *cli.TINY, "--quiet", "--precision",
                            "fp32", "--conv", "emulated-bf16")

    def test_launchers_that_mpi_does_not_understand(self):
        """One process each, as MPI sees them."""
        for variable, said in [("SLURM_STEP_NUM_TASKS", "srun started 2 tasks"), ("PMI_SIZE", "another MPI started 2 tasks"),
                               ("MPI_LOCALNRANKS", "another MPI started 2 tasks")]:
            with self.subTest(variable=variable):
                self.environment[variable] = "2"
                self.assert_refused(9, said, *cli.TINY, "--output", "run", ranks=1)
                self.assertFalse(os.path.exists(self.path("run")))
                for words in [["--help"], ["--version"], ["info"]]:
                    self.assertEqual(self.run_command(cli.launch(words, 1)).status, 0)
                self.environment[variable] = "1"
                outcome = self.run_command(cli.launch(["train", *cli.TINY, "--max-steps", "1", "--output", variable], 1))
                self.assertEqual(outcome.status, 0, outcome.err)
                del self.environment[variable]

    @unittest.skipIf(cli.RANKS == 1, "needs ranks")
    def test_options_that_differ_between_ranks(self):
        each = str(cli.RANKS // 2)
        command = [cli.MPIRUN, "--quiet", "--oversubscribe", "-np", each, cli.PROGRAM, "--lr", "0.25", ":", "-np", each,
                   cli.PROGRAM, "--lr", "0.5"]
        outcome = self.run_command(command)
        self.assertEqual(outcome.status, 7, outcome.err)
        self.assertEqual(len(outcome.errors()), 1, outcome.err)
        self.assertRegex(outcome.errors()[0], "--lr.*0.25.*0.5|--lr.*0.5.*0.25")


class Data(cli.Case):
    def refuse(self, pattern, **replaced):
        data = cli.write_data(self.path("data"), **replaced)
        self.assert_refused(3, pattern, "--data", data, "--quiet", "--output", "run")

    def test_missing_folder(self):
        self.assert_refused(3, "nowhere", "--data", "nowhere", "--quiet", "--output", "run")

    def test_a_file_for_a_folder(self):
        with open(self.path("file"), "w", encoding="utf-8"):
            pass
        self.assert_refused(3, "file", "--data", "file", "--quiet", "--output", "run")

    def test_missing_file(self):
        data = cli.write_data(self.path("data"))
        os.remove(os.path.join(data, "train-labels-idx1-ubyte"))
        self.assert_refused(3, "train-labels-idx1-ubyte", "--data", data, "--quiet", "--output", "run")

    @unittest.skipIf(os.geteuid() == 0, "root reads everything")
    def test_unreadable_file(self):
        data = cli.write_data(self.path("data"))
        os.chmod(os.path.join(data, "train-images-idx3-ubyte"), 0)
        self.assert_refused(3, "train-images-idx3-ubyte", "--data", data, "--quiet", "--output", "run")

    def test_wrong_magic(self):
        self.refuse("train-images-idx3-ubyte", train_images=cli.idx_images(20, magic=0x804))

    def test_labels_for_images(self):
        self.refuse("train-images-idx3-ubyte", train_images=cli.idx_labels([1] * 20))

    def test_too_short(self):
        self.refuse("train-images-idx3-ubyte", train_images=cli.idx_images(20)[:-1])

    def test_too_long(self):
        self.refuse("train-images-idx3-ubyte", train_images=cli.idx_images(20) + b"x")

    def test_truncated_gzip(self):
        self.refuse("train-images-idx3-ubyte.gz", compress=True, train_images=gzip.compress(cli.idx_images(20))[:-9])

    def test_gzip_with_a_wrong_checksum(self):
        data = bytearray(gzip.compress(cli.idx_images(20)))
        data[-8] ^= 1
        self.refuse("train-images-idx3-ubyte.gz", compress=True, train_images=bytes(data))

    def test_gzip_that_is_too_long(self):
        self.refuse("train-images-idx3-ubyte.gz", compress=True, train_images=gzip.compress(cli.idx_images(20, stored=21)))

    def test_counts_that_differ(self):
        self.refuse("train-(images|labels)", train_labels=cli.idx_labels([1] * 19))

    def test_label_over_nine(self):
        self.refuse("train-labels-idx1-ubyte", train_labels=cli.idx_labels([1] * 19 + [10]))

    def test_bad_test_set(self):
        self.refuse("t10k-labels-idx1-ubyte", test_labels=cli.idx_labels([1] * 19 + [255]))

    def test_more_samples_than_there_are(self):
        data = cli.write_data(self.path("data"))
        self.assert_refused(2, "21", "--data", data, "--train-samples", "21", "--quiet", "--output", "run")


class Files(cli.Case):
    def test_output_that_cannot_be_made(self):
        self.assert_refused(5, "/dev/null/run: cannot make the folder", *cli.TINY, "--quiet", "--output", "/dev/null/run")

    def test_output_that_is_a_file(self):
        self.assert_refused(5, "/dev/null: is not a folder", *cli.TINY, "--quiet", "--output", "/dev/null")

    def test_output_that_cannot_be_written(self):
        self.assert_refused(5, "/proc", *cli.TINY, "--quiet", "--output", "/proc")

    def test_missing_checkpoint(self):
        self.assert_refused(4, "nowhere.safetensors", "eval", "--quiet", "--checkpoint", "nowhere.safetensors")
        self.assert_refused(4, "nowhere.safetensors", *cli.TINY, "--quiet", "--resume=nowhere.safetensors")

    def test_foreign_checkpoint(self):
        with open(self.path("foreign.safetensors"), "wb") as file:
            file.write(b"\x02\0\0\0\0\0\0\0{}")
        self.assert_refused(4, "foreign.safetensors", "eval", "--quiet", "--checkpoint", "foreign.safetensors")
        self.assert_refused(4, "foreign.safetensors", *cli.TINY, "--quiet", "--resume=foreign.safetensors", "--output", "run")

    def test_nothing_to_resume(self):
        os.mkdir(self.path("run"))
        self.assert_refused(4, "run", *cli.TINY, "--quiet", "--resume", "--output", "run")
        self.assert_refused(2, "--output", *cli.TINY, "--quiet", "--resume")

    def test_eval_without_checkpoint(self):
        self.assert_refused(2, "--checkpoint FILE", "eval", "--quiet")

    def test_truncated_checkpoint_and_another_runs_folder(self):
        self.train("--max-steps", "1", "--output", "run", "--quiet")
        name = self.path("run", cli.checkpoints(self.path("run"))[-1])
        self.assert_refused(2, "run: holds the checkpoints of another run.*--resume", *cli.TINY, "--quiet", "--output", "run")
        os.mkdir(self.path("other"))
        with open(self.path("other", "checkpoint-00000001.safetensors"), "wb"):
            pass
        self.assert_refused(2, "other: holds the checkpoints of another run", *cli.TINY, "--quiet", "--resume=" + name, "--output",
                            "other")
        os.truncate(name, os.path.getsize(name) - 1)
        self.assert_refused(4, "checkpoint-", "eval", "--quiet", "--checkpoint", name)
        self.assert_refused(4, "checkpoint-", *cli.TINY, "--quiet", "--resume=" + name)

    def test_standard_output_that_is_full(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            outcome = self.run_command([cli.PROGRAM, "info"], stdout=full)
        self.assertEqual(outcome.status, 5, outcome.err)
        self.assertRegex(outcome.errors()[0], "standard output: cannot write: No space left")


class Streams(cli.Case):
    """A training goes on when nobody listens any more."""

    def test_closed_standard_streams(self):
        command = cli.launch(["train", *cli.TINY, "--max-steps", "1", "--output", "run"])
        outcome = self.run_command(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command])
        self.assertEqual(outcome.status, 0)
        self.assertEqual(len(cli.events(self.path("run"), "step")), 1)

    def test_reader_that_goes_away(self):
        process = self.start(cli.launch(["train", *cli.TINY, "--max-steps", "2", "--output", "run"]), stdout=subprocess.DEVNULL)
        process.stderr.close()
        self.assertEqual(self.finish(process).status, 0)
        self.assertEqual(len(cli.events(self.path("run"), "step")), 2)


if __name__ == "__main__":
    unittest.main()
