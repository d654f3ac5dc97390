"""Runs that end well: what they print, what they leave, and how they go on."""
import csv
import json
import os
import re
import signal
import sys
import unittest

import checkpoint_edit
import cli


once = unittest.skipIf(cli.RANKS == 1, "says nothing that it does not say at several ranks")


class Words(cli.Case):
    def test_help(self):
        for command in [["train"], ["eval"], ["info"]]:
            outcome = self.run_program(*command, "--help")
            self.assertEqual((outcome.status, outcome.lines), (0, []), outcome.err)
            self.assertEqual(outcome.out.count("Usage: vgg11_dist"), 1)
            self.assertIn("--threads N", outcome.out)

    def test_first_help_fits_a_screen(self):
        first = self.run_program("-h").out
        self.assertEqual(first, self.run_program("--help").out)
        self.assertIn("\nCommands", first)
        self.assertLess(len(first.splitlines()), 40)
        whole = self.run_program("--help=all").out
        for option in ["--checkpoint FILE", "--repeats N", "--momentum X"]:
            self.assertIn(option, whole)
        self.assert_refused(2, "--help 'much': expected one of most, all", "--help=much")

    @once
    def test_help_and_errors_need_no_environment(self):
        """MPI would not start without HOME and PATH."""
        for words, status in [(["--help"], 0), (["-V"], 0), (["--epochs", "none"], 2), (["nonsense"], 2)]:
            outcome = self.run_command(["env", "-i", cli.PROGRAM, *words])
            self.assertEqual(outcome.status, status, outcome.err)
            self.assertEqual(len(outcome.err.splitlines()), 0 if status == 0 else 1, outcome.err)

    def test_version(self):
        outcome = self.run_program("--version")
        self.assertEqual((outcome.status, outcome.lines), (0, []), outcome.err)
        self.assertRegex(outcome.out, r"^vgg11_dist \d+\.\d+\.\d+\n$")

    def test_info(self):
        outcome = self.run_program("info")
        self.assertEqual((outcome.status, outcome.errors()), (0, []), outcome.err)
        self.assertRegex(outcome.out, rf"(?m)^{cli.RANKS} ranks? on 1 node$")

    def test_info_as_json(self):
        info = json.loads(self.run_program("info", "--json", "--threads", "3").out)
        self.assertEqual([rank["rank"] for rank in info["ranks"]], list(range(cli.RANKS)))
        self.assertEqual({rank["threads"] for rank in info["ranks"]}, {3})
        self.assertTrue(info["libraries"]["OpenBLAS"])

    def test_threads_are_shared_out(self):
        """Ranks that may use the same cores divide them; ranks bound to a core have that one."""
        cores = json.loads(self.run_command([cli.PROGRAM, "info", "--json"]).out)["ranks"][0]["cores"]
        command = [cli.MPIRUN, "--quiet", "--oversubscribe", "--bind-to", "none", "-np", str(cli.RANKS), cli.PROGRAM, "info", "--json"]
        ranks = json.loads(self.run_command(command).out)["ranks"]
        self.assertEqual({rank["threads"] for rank in ranks}, {max(1, cores // cli.RANKS)})
        outcome = self.run_command(["taskset", "-c", "0", cli.PROGRAM, "info", "--json"])
        self.assertEqual(json.loads(outcome.out)["ranks"][0]["threads"], 1)

    def test_threads_that_openmp_binds(self):
        """OpenMP binds the first thread to one core before the program begins; the others' cores are still there."""
        alone = json.loads(self.run_command([cli.PROGRAM, "info", "--json"]).out)["ranks"][0]
        self.environment["OMP_PROC_BIND"] = "true"
        bound = json.loads(self.run_command([cli.PROGRAM, "info", "--json"]).out)["ranks"][0]
        self.assertEqual((bound["cores"], bound["threads"]), (alone["cores"], alone["threads"]))

    def test_too_many_threads_are_told(self):
        outcome = self.run_program("info", "--threads", "1000")
        self.assertEqual(outcome.status, 0)
        self.assertEqual(len([line for line in outcome.lines if "threads for each core" in line]), 1, outcome.err)


class Train(cli.Case):
    def check_files(self, folder):
        for name in ["config.json", "summary.json"]:
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                json.load(file)
        kinds = [event["event"] for event in cli.read_metrics(folder)]
        self.assertEqual((kinds[0], kinds[-1]), ("start", "end"))

    def test_run_folder_and_evaluation(self):
        outcome = self.train("--output", "run", "--trace", "trace.json")
        run = self.path("run")
        self.check_files(run)
        steps = cli.events(run, "step")
        self.assertEqual([step["step"] for step in steps], [1, 2, 3, 4])
        self.assertEqual([step["samples"] for step in steps], [16] * 4)
        for field in ["loss", "accuracy", "lr", "grad_norm", "clip_scale", "images_per_second", "compute_s", "exchange_s", "update_s"]:
            self.assertIsInstance(steps[0][field], (int, float), field)
        self.assertRegex(outcome.err, r"(?m)^epoch 1/1  loss .* test accuracy .*")
        self.assertRegex(outcome.err, r"(?m)^done: test accuracy")
        self.assertEqual("exposed exchange" in outcome.err, cli.RANKS > 1)
        with open(os.path.join(run, "summary.json"), encoding="utf-8") as file:
            exposed = json.load(file)["exchange_s"]
        self.assertAlmostEqual(exposed, sum(step["exchange_s"] for step in steps) / 4, places=6)
        with open(self.path("trace.json"), encoding="utf-8") as file:
            self.assertGreaterEqual(len(json.load(file)["traceEvents"]), 16)
        with open(os.path.join(run, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        self.assertEqual((config["ranks"], config["options"]["batch-size"]), (cli.RANKS, 16))
        self.assertEqual(config["exchange"], "node (first that opens; not timed)" if cli.RANKS > 1 else "allreduce (one rank: nothing to exchange)")
        self.check_provenance(run, config)
        self.check_history(run)
        self.evaluate(run)

    def check_provenance(self, run, config):
        with open(os.path.join(run, "summary.json"), encoding="utf-8") as file:
            summary = json.load(file)
        said = config["provenance"]
        self.assertEqual(summary["provenance"], said)
        self.assertLess(said["time"], summary["ended"])
        self.assertEqual((said["ranks"], said["hosts"], said["kernel"]), (cli.RANKS, os.uname().nodename, os.uname().release))
        self.assertEqual(said["command_line"][1], "train")
        self.assertIn("--output", said["command_line"])
        self.assertIn("Open MPI", said["mpi"])
        self.assertTrue(said["libraries"]["OpenBLAS"])
        self.assertRegex(said["commit"] or "", r"^([0-9a-f]{7,}\+?)?$")

    def check_history(self, run):
        with open(os.path.join(run, "history.csv"), encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        seen = cli.events(run, "eval")
        self.assertEqual([int(row["epoch"]) for row in rows], list(range(len(seen))))
        for row, event in zip(rows, seen):
            self.assertAlmostEqual(float(row["val_accuracy"]), event["test_accuracy"], places=6)
            self.assertAlmostEqual(float(row["loss"]), event["train_loss"], places=6)

    @once
    def test_eval_of_weights_that_overflow(self):
        """They are numbers; what comes of them is none."""
        self.train("--output", "run")
        checkpoint = self.path("run", cli.checkpoints(self.path("run"))[-1])
        for value in [3e38, -3e38]:
            checkpoint_edit.fill(checkpoint, "fc3.kernel" if value > 0 else "fc4.kernel", value)
        outcome = self.run_command([cli.PROGRAM, "eval", "--json", "--checkpoint", checkpoint, "--test-samples", "10", "--data", cli.DATA, "--no-tune"])
        self.assertEqual(outcome.status, 0, outcome.err)
        self.assertIsNone(json.loads(outcome.out)["test_loss"])

    def evaluate(self, run, tolerance=1e-4):
        """eval finds what the run found, at its own and at another number of ranks."""
        seen = cli.events(run, "eval")[-1]
        checkpoint = os.path.join(run, cli.checkpoints(run)[-1])
        arguments = ["eval", "--checkpoint", checkpoint, "--test-samples", "40", "--data", cli.DATA, "--no-tune"]
        for ranks in {cli.RANKS, 1 if cli.RANKS > 1 else 2}:
            outcome = self.run_command(cli.launch(arguments + ["--json"], ranks))
            self.assertEqual(outcome.status, 0, outcome.err)
            found = json.loads(outcome.out)
            self.assertAlmostEqual(found["test_accuracy"], seen["test_accuracy"], places=6)
            self.assertAlmostEqual(found["test_loss"], seen["test_loss"], delta=tolerance * max(1, seen["test_loss"]))
            self.assertEqual(sum(map(sum, found["confusion"])), 40)
            self.assertEqual(len(found["mistakes"]), len(seen["mistakes"]))
        text = self.run_program(*arguments).out
        self.assertRegex(text, r"40 test images: loss [\d.]+, accuracy [\d.]+ %")
        self.assertEqual(len(re.findall(r"(?m)^ +\d( +[01]\.\d{4}){3} +\d+$", text)), 10)
        self.assertEqual(re.findall(r"(?m)^ +(\d+) +(\d) +(\d) +[\d.]+ %$", text),
                         [tuple(str(mistake[key]) for key in ("image", "label", "answer")) for mistake in found["mistakes"]])

    def test_bf16(self):
        self.train("--precision", "bf16", "--output", "run")
        self.check_files(self.path("run"))
        with open(self.path("run", "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        self.assertEqual(config["options"]["precision"], "bf16")
        self.assertIn("bf16", config["algorithms"])
        self.evaluate(self.path("run"), 5e-3)  # other batches have other algorithms, which round elsewhere

    def mend(self, run):
        """eval makes the mistake of the training, and says so, unless told how to resize."""
        arguments = ["eval", "--test-samples", "40", "--data", cli.DATA, "--no-tune", "--json", "--checkpoint",
                     os.path.join(run, cli.checkpoints(run)[-1])]
        as_trained, mended = self.run_program(*arguments), self.run_program(*arguments, "--resize", "bilinear")
        self.assertIn("--resize-bug", as_trained.err)
        self.assertNotIn("--resize-bug", mended.err)
        self.assertNotEqual(*(json.loads(outcome.out)["test_loss"] for outcome in [as_trained, mended]))

    @once
    def test_default_folder_has_the_time(self):
        self.train("--max-steps", "1", "--checkpoint-every", "0")
        names = os.listdir(self.path("runs"))
        self.assertEqual(len(names), 1)
        self.assertRegex(names[0], r"^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ$")

    @once
    def test_in_a_folder_whose_name_is_not_utf8(self):
        """JSON cannot hold the name, and the run is none the worse for it."""
        program = [cli.PROGRAM, "train", *cli.TINY, "--max-steps", "1", "--checkpoint-every", "0", "--quiet", "--output", self.path("run")]
        there = r"""folder=$(printf 'na\377me') && mkdir "$folder" && cd "$folder" && exec "$@" """
        outcome = self.run_command(["sh", "-c", there, "sh", *program])
        self.assertEqual(outcome.status, 0, outcome.err)
        with open(self.path("run", "config.json"), encoding="utf-8") as file:
            self.assertNotIn("directory", json.load(file)["provenance"])

    @once
    def test_presets(self):
        for preset in ["question", "question-bug"]:
            self.train("--preset", preset, "--output", preset)
            with open(self.path(preset, "config.json"), encoding="utf-8") as file:
                options = json.load(file)["options"]
            self.assertEqual((options["init"], options["normalize"], options["lr"]), ("glorot", "none", 0.001))
            self.assertEqual(options["resize-bug"], preset == "question-bug")
        with_bug, without = (cli.events(self.path(name), "step")[0]["loss"] for name in ["question-bug", "question"])
        self.assertNotEqual(with_bug, without)
        for preset in ["question", "question-bug"]:
            self.evaluate(self.path(preset))
        self.mend(self.path("question-bug"))

    @once
    def test_configuration_file_and_its_json_give_the_same_run(self):
        with open(self.path("run.conf"), "w", encoding="utf-8") as file:
            file.write("# small\nlr = 0.015625\nno-shuffle = true\n")
        self.train("--config", "run.conf", "--output", "first", "--max-steps", "2")
        with open(self.path("first", "config.json"), encoding="utf-8") as file:
            options = json.load(file)["options"]
        self.assertEqual((options["lr"], options["no-shuffle"]), (0.015625, True))
        outcome = self.run_program("--config", "first/config.json", "--output", "second")
        self.assertEqual(outcome.status, 0, outcome.err)
        paths = [self.path(run, cli.checkpoints(self.path(run))[-1]) for run in ["first", "second"]]
        self.assertEqual(cli.tensors(paths[0]), cli.tensors(paths[1]))

    def test_timings_of_algorithms_are_kept(self):
        """The second run takes the choices of the first, so that its bits are the same."""
        tuned = [option for option in cli.TINY if option != "--no-tune"] + ["--plan-spread", "0"]
        kept = []
        for run in ["first", "second"]:
            outcome = self.run_program("train", *tuned, "--max-steps", "1", "--output", run)
            self.assertEqual(outcome.status, 0, outcome.err)
            with open(self.path("cache", "vgg11_dist", "plans.tsv"), encoding="utf-8") as file:
                kept.append(file.read())
        self.assertIn("conv8", kept[0])
        self.assertEqual(kept[0], kept[1])
        if cli.RANKS > 1:
            self.check_other_commands(kept[0])
        paths = [self.path(run, cli.checkpoints(self.path(run))[-1]) for run in ["first", "second"]]
        self.assertEqual(cli.tensors(paths[0]), cli.tensors(paths[1]))

    def check_other_commands(self, kept):
        """The benchmark of the same setting takes what the training timed; what an evaluation times stands beside it."""
        path, run = self.path("cache", "vgg11_dist", "plans.tsv"), self.path("second")
        commands = [["bench", "--plan-cache", path, "--part", "step", "--repeats", "1", "--quiet", "--batch-size", "16"],
                    ["eval", "--checkpoint", os.path.join(run, cli.checkpoints(run)[-1]), "--data", cli.DATA, "--test-samples", "40",
                     "--plan-spread", "0"]]
        printed = []
        for command, same in zip(commands, [True, False]):
            outcome = self.run_program(*command)
            self.assertEqual(outcome.status, 0, outcome.err)
            printed.append(outcome.out)
            with open(path, encoding="utf-8") as file:
                now = file.read()
            self.assertEqual(now == kept, same, command)
            self.assertIn(kept, now)
            self.assertEqual(set(re.findall(r", (ranks \d+), ", now)), {f"ranks {cli.RANKS}"})
        self.assertRegex(printed[0], r"(?m)^  memory +update's 5 streams +[\d.]+ +[\d.]+ GB/s$")
        self.assertRegex(printed[0], r"(?m)^weight gradients made in the update: fc1, fc2, fc3 \(--no-factors: in backward\)$")

    def test_batch_smaller_than_the_ranks(self):
        self.train("--batch-size", "2", "--max-steps", "2", "--output", "run", "--checkpoint-every", "0")
        self.assertEqual([step["samples"] for step in cli.events(self.path("run"), "step")], [2, 2])

    def test_fewer_samples_than_ranks(self):
        self.train("--train-samples", "3", "--test-samples", "1", "--output", "run", "--checkpoint-every", "0")
        self.assertEqual([step["samples"] for step in cli.events(self.path("run"), "step")], [3])
        self.assertEqual(cli.events(self.path("run"), "eval")[-1]["samples"], 1)

    def test_last_batch_is_short(self):
        self.train("--train-samples", "35", "--output", "run", "--checkpoint-every", "0")
        self.assertEqual([step["samples"] for step in cli.events(self.path("run"), "step")], [16, 16, 3])


class Resume(cli.Case):
    tuned = [option for option in cli.TINY if option != "--no-tune"] + ["--plan-spread", "0", "--checkpoint-steps", "1", "--keep", "0"]

    def other_algorithms(self):
        """Writes im2col for every convolution into the kept timings: as good a choice, and other bits."""
        path = self.path("cache", "vgg11_dist", "plans.tsv")
        with open(path, encoding="utf-8") as file:
            lines = [line.split("\t") for line in file]
        with open(path, "w", encoding="utf-8") as file:
            for line in lines:
                line[3] = "im2col" if line[1].startswith("conv") else line[3]
                file.write("\t".join(line))

    def test_algorithms_stay_though_the_timings_change(self):
        self.run_to(3, "whole", *self.tuned)
        self.other_algorithms()
        self.run_to(3, "otherwise", *self.tuned)
        start = self.path("whole", "checkpoint-00000002.safetensors")
        outcome = self.run_to(3, "resumed", *self.tuned, "--resume=" + start)
        self.assertNotIn("same bits", outcome.err)
        whole, otherwise, resumed = (self.end_of(run) for run in ["whole", "otherwise", "resumed"])
        self.assertNotEqual(whole, otherwise)
        self.assertEqual(whole, resumed)
        configs = [self.config_of(run) for run in ["whole", "resumed"]]
        self.assertEqual(configs[0]["algorithms"], configs[1]["algorithms"])
        self.assertRegex(configs[0]["algorithms"], r"^conv1:[\w-]+/-/[\w-]+ conv2:[\w-]+/[\w-]+/[\w-]+ .* fc4:[\w-]+/[\w-]+/[\w-]+$")

    def test_other_images_or_labels_are_refused(self):
        data = cli.write_data(self.path("data"))
        options = ["--train-samples", "16", "--test-samples", "4", "--batch-size", "8", "--no-tune", "--data", data]
        self.run_to(1, "run", *options)
        for name, at in [("train-images-idx3-ubyte", 16 + 784), ("train-labels-idx1-ubyte", 8 + 15)]:
            with self.subTest(name=name):
                with open(os.path.join(data, name), "r+b") as file:
                    before = os.pread(file.fileno(), 1, at)
                    os.pwrite(file.fileno(), bytes([before[0] ^ 1]), at)
                    self.assert_refused(4, "other training images or labels", "train", *options, "--quiet", "--output", "again",
                                        "--resume=" + self.path("run"))
                    os.pwrite(file.fileno(), before, at)
        self.run_to(2, "as-before", *options, "--resume=" + self.path("run"))

    def test_a_digest_of_another_hash_is_not_compared(self):
        self.run_to(1, "run", *cli.TINY)
        newest = self.path("run", cli.checkpoints(self.path("run"))[-1])
        checkpoint_edit.say(newest, "data_digest", "xxh3:0123456789abcdef")
        self.assert_refused(4, "digest xxh3:0123456789abcdef, now xxh3:", "train", *cli.TINY, "--quiet", "--output", "again",
                            "--resume=" + newest)
        checkpoint_edit.say(newest, "data_digest", "0123456789abcdef")
        outcome = self.run_to(2, "older", *cli.TINY, "--resume=" + newest)
        self.assertIn("digest of the training images is of another version and is not compared", outcome.err)

    def test_bf16_goes_on_to_the_same_bits(self):
        options = [*cli.TINY, "--precision", "bf16", "--checkpoint-steps", "1", "--keep", "0"]
        self.run_to(3, "whole", *options)
        start = self.path("whole", "checkpoint-00000002.safetensors")
        outcome = self.run_to(3, "resumed", *options, "--resume=" + start)
        self.assertNotIn("same bits", outcome.err)
        self.assertEqual(*(self.end_of(run) for run in ["whole", "resumed"]))

    def test_what_changes_the_sums_is_said(self):
        self.run_to(2, "run", *cli.TINY, "--exchange", "node")
        self.assertTrue(self.config_of("run")["exchange"].startswith("node (named)"))
        for options, said in [([], None), (["--exchange", "allreduce"], "exchange is allreduce and was node"),
                              (["--conv", "im2col"], "conv=im2col .* had .* conv=auto"), (["--threads", "3"], "x 3 threads")]:
            with self.subTest(options=options):
                outcome = self.run_to(3, "resumed" + "".join(options), *cli.TINY, *options, "--resume=" + self.path("run"))
                lines = [line for line in outcome.lines if "same bits" in line]
                expected = said and (cli.RANKS > 1 or "exchange" not in said)
                self.assertEqual(len(lines), 1 if expected else 0, outcome.err)
                if expected:
                    self.assertRegex(lines[0], said)
        self.assertTrue(self.config_of("resumed")["exchange"].startswith("node (as before"))

    def run_to(self, steps, run, *options):
        outcome = self.run_program("train", *options, "--max-steps", str(steps), "--output", run)
        self.assertEqual(outcome.status, 0, outcome.err)
        return outcome

    def end_of(self, run):
        return cli.tensors(self.path(run, "checkpoint-00000003.safetensors"))

    def config_of(self, run):
        with open(self.path(run, "config.json"), encoding="utf-8") as file:
            return json.load(file)


class Stop(cli.Case):
    def test_signal_then_resume(self):
        endless = ["train", *cli.TINY, "--epochs", "1000", "--output", "run", "--quiet"]
        process = self.start(cli.launch(endless))
        metrics = self.path("run", "metrics.jsonl")
        self.wait_for("its second step", lambda: os.path.exists(metrics) and '"step","step":2' in open(metrics, encoding="utf-8").read(),
                      process)
        process.send_signal(signal.SIGUSR1)
        outcome = self.finish(process)
        self.assertEqual(outcome.status, 75, outcome.err)
        self.assertEqual(len(outcome.errors()), 1, outcome.err)
        self.assertRegex(outcome.errors()[0], "--resume")
        stopped = cli.events(self.path("run"), "step")[-1]["step"]
        saved = cli.checkpoints(self.path("run"))[-1]
        self.assertEqual(saved, f"checkpoint-{stopped:08d}.safetensors")
        for flag in ["--resume", "--resume=auto", "--resume=" + self.path("run", saved)]:
            with self.subTest(flag=flag):
                again = self.run_program(*endless, flag, "--max-steps", str(stopped + 2))
                self.assertEqual(again.status, 0, again.err)
                steps = [step["step"] for step in cli.events(self.path("run"), "step")]
                self.assertEqual(steps, list(range(1, stopped + 3)))

    def test_signal_that_waits_at_the_start(self):
        """Sent before main() begins, and blocked: it is there the moment that the program lets it through."""
        program = ["import os, signal, sys", "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])",
                   "os.kill(os.getpid(), signal.SIGUSR1)", "os.execv(sys.argv[1], sys.argv[1:])"]
        wrapper = [sys.executable, "-c", "\n".join(program)]
        command = cli.launch(["train", *cli.TINY, "--output", "run", "--quiet"])
        at = command.index(cli.PROGRAM)
        outcome = self.run_command(command[:at] + wrapper + command[at:])
        self.assertEqual(outcome.status, 75, outcome.err)
        self.assertEqual(cli.checkpoints(self.path("run")), ["checkpoint-00000001.safetensors"])

    def test_auto_without_a_checkpoint_begins(self):
        self.train("--resume=auto", "--output", "run", "--max-steps", "1")
        self.assertEqual(cli.events(self.path("run"), "start")[0]["step"], 0)


if __name__ == "__main__":
    unittest.main()
