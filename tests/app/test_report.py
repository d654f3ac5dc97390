"""report: the page of a run that is under way, was killed, was resumed, is complete; whatever its names and numbers are."""
import base64
import json
import os
import signal
import unittest

import cli
import report_pages as pages
from test_records import contents

STEPS = 4  # in an epoch of cli.TINY
FIGURES = ["Loss", "Accuracy", "Learning rate", "Gradient norm", "Clipped steps", "Throughput", "Time of a step"]


class Reports(cli.Case):
    def report(self, run="run", *options):
        """The page, whose form and charts are right."""
        outcome = self.run_command([cli.PROGRAM, "report", self.path(run), *options])
        self.assertEqual((outcome.status, outcome.out), (0, ""), outcome.err)
        path = options[1] if options else self.path(run, "report.html")
        self.assertEqual(outcome.lines, [f"wrote {path}"])
        page = pages.Page(path)
        self.assertEqual(page.wrong, [])
        self.assertEqual([figure.all("h3")[0].text() for figure in page.root.all("figure")], FIGURES)
        for figure in page.root.all("figure"):
            self.assertEqual(pages.strays(figure), [], figure.all("h3")[0].text())
            self.assertEqual(figure.all("svg")[0].all("ul") + figure.all("figcaption")[0].all("svg"), [])
        return page

    def check_epochs(self, page, lines):
        """Against sums of what the lines say."""
        steps = {line["step"]: line for line in lines if line["event"] == "step"}
        evals = {line["epoch"]: line for line in lines if line["event"] == "eval"}
        expected = []
        for epoch in sorted({line["epoch"] for line in steps.values()}):
            own = [line for line in steps.values() if line["epoch"] == epoch]
            samples = sum(line["samples"] for line in own)
            test = evals.get(epoch)
            expected.append([str(epoch), str(len(own)), f"{sum(line['loss'] * line['samples'] for line in own) / samples:.4f}",
                             f"{100 * sum(line['accuracy'] * line['samples'] for line in own) / samples:.2f} %",
                             f"{test['test_loss']:.4f}" if test else "\u2013", f"{100 * test['test_accuracy']:.2f} %" if test else "\u2013"])
        self.assertEqual([row[:6] for row in page.rows("Epochs")[1:]], expected)


class Runs(Reports):
    def test_a_finished_run(self):
        self.train("--output", "run")
        before = contents(self.path("run"))
        page, lines = self.report(), cli.read_metrics(self.path("run"))
        self.assertEqual({name: what for name, what in contents(self.path("run")).items() if name != "report.html"}, before)
        self.assertEqual(page.state(), "complete")
        self.assertEqual(page.root.all("bdi")[0].text(), "run")
        self.assertEqual(page.section("Confusion").all("tbody")[0].all("td")[10].text()[-1], "%")
        counts = [[int(cell) for cell in row[1:11]] for row in page.rows("Confusion")[1:]]
        self.assertEqual(sum(map(sum, counts)), 40)
        right = sum(counts[i][i] for i in range(10))
        self.assertAlmostEqual(right / 40, lines[-1]["final_accuracy"])
        with open(self.path("run", "summary.json"), encoding="utf-8") as file:
            self.assertEqual(json.load(file)["confusion"], counts)
        self.check_mistakes(page, [line for line in lines if line["event"] == "eval"][-1]["mistakes"], counts)
        self.check_epochs(page, lines)
        self.assertEqual(len(pages.points(page.figure("Loss").all("path", "line")[0])), STEPS + 1)
        self.assertEqual(len(page.figure("Loss").all("circle")), 1)
        for text in ["16", "no-tune", "open mpi", "conv1:"]:
            self.assertIn(text, page.section("Settings and machine").text().lower())

    def check_mistakes(self, page, mistakes, counts):
        """The surest first, each one of the confusion matrix, and the picture is that of which the network says so."""
        wrong = sum(map(sum, counts)) - sum(counts[i][i] for i in range(10))
        self.assertEqual(len(mistakes), min(12, wrong))
        self.assertEqual(sorted((-m["probability"], m["image"]) for m in mistakes), [(-m["probability"], m["image"]) for m in mistakes])
        for pair in {(m["label"], m["answer"]) for m in mistakes}:
            self.assertNotEqual(*pair)
            self.assertGreaterEqual(counts[pair[0]][pair[1]], sum((m["label"], m["answer"]) == pair for m in mistakes))
        shown = page.section("Most confident errors").all("li")
        self.assertEqual([item.text() for item in shown], [
            f"{m['label']}taken for {m['answer']}, {100 * m['probability']:.1f} %, image {m['image']}" for m in mistakes])
        self.assertEqual([item.all("img")[0].attributes["src"] for item in shown], ["data:image/png;base64," + m["png"] for m in mistakes])
        checkpoint = self.path("run", cli.checkpoints(self.path("run"))[-1])
        for mistake in mistakes[:3]:
            with open(self.path("mistake.png"), "wb") as file:
                file.write(base64.b64decode(mistake["png"]))
            outcome = self.run_command([cli.PROGRAM, "predict", "--json", "--checkpoint", checkpoint, self.path("mistake.png")])
            self.assertEqual(outcome.status, 0, outcome.err)
            found = json.loads(outcome.out)["predictions"][0]
            self.assertEqual(found["digit"], mistake["answer"])
            self.assertAlmostEqual(found["probabilities"][mistake["answer"]], mistake["probability"], delta=1e-3)

    def test_under_way_then_killed_then_resumed(self):
        process = self.start(cli.launch(["train", *cli.TINY, "--epochs", "1000", "--checkpoint-steps", "2", "--keep", "1", "--output", "run"]))
        self.wait_for_step(STEPS + 3, process)
        self.assertEqual(self.report().state(), "under way")
        process.send_signal(signal.SIGKILL)
        self.finish(process)
        page = self.report()
        self.assertEqual(page.state(), "no end recorded")
        self.assertEqual(page.root.all("path", "mark"), [])
        self.check_epochs(page, cli.read_metrics(self.path("run")))
        newest = int(cli.checkpoints(self.path("run"))[-1][len("checkpoint-"):-len(".safetensors")])
        outcome = self.run_program("--resume", "run", "--max-steps", str(newest + 3))
        self.assertEqual(outcome.status, 0, outcome.err)
        self.check_resumed(newest)

    def check_resumed(self, newest):
        page, lines = self.report(), cli.read_metrics(self.path("run"))
        self.assertEqual(page.state(), "complete")
        self.assertIn("told to end before its last epoch", page.root.all("header")[0].text())
        self.check_epochs(page, lines)
        for figure in page.root.all("figure"):
            marks = figure.all("path", "mark")
            self.assertEqual([mark.text() for mark in marks], [f"resumed after step {newest}"])
            left, _, right, _ = pages.plot_of(figure)
            self.assertAlmostEqual(pages.points(marks[0])[0][0], left + (right - left) * newest / (newest + 3), delta=0.06)
            self.assertIn("resumed", figure.all("ul", "key")[0].text())
        self.assertIn("Of 2 processes", page.section("Time").text())

    def test_stopped_before_anything_was_evaluated(self):
        process = self.start(cli.launch(["train", *cli.TINY, "--train-samples", "960", "--output", "run"]))
        self.wait_for_step(1, process)
        process.send_signal(signal.SIGTERM)
        outcome = self.finish(process)
        self.assertEqual(outcome.status, 75, outcome.err)
        self.assertNotIn("epoch 0/", outcome.err)
        with open(self.path("run", "summary.json"), encoding="utf-8") as file:
            summary = json.load(file)
        for found in [cli.events(self.path("run"), "end")[-1], summary]:
            self.assertEqual([found[name] for name in ["best_accuracy", "final_accuracy", "final_loss"]], [None] * 3)
        page = self.report()
        self.assertEqual(page.state(), "stopped")
        self.assertIn("stopped by SIGTERM after step", page.root.all("header")[0].text())
        self.assertNotIn("accuracy", page.root.all("ul", "tiles")[0].text())
        self.assertIsNone(page.section("Confusion"))


class Records(Reports):
    """Of runs that nobody made."""

    def page(self, lines, **files):
        return self.report(os.path.relpath(pages.write_run(self.path("run"), lines, **files), self.folder))

    def test_pictures_are_pictures(self):
        last = pages.evaluation(8, 4)
        for mistake, png in zip(last["mistakes"], ['"><script>', None, 7, "a b", ["x"], {"x": 1}]):
            mistake["png"] = png
        last["mistakes"][6:] = [None, {}, {"label": "<b>"}, 3]
        page = self.page(pages.whole_run(8, 4)[:-2] + [last])
        items = page.section("Most confident errors").all("li")
        self.assertEqual(len(items), 10)
        self.assertEqual([item.all("img") for item in items], [[]] * 10)

    def test_hostile_words(self):
        evil = "<script>alert(1)</script><img src=x onerror=alert(2)>'\"&amp;--><!-- \u202e\x01 </td></table></style>"
        name = "<script>alert(1)<!--'\"&amp;\t" + os.fsdecode(b"\xff\x1b")
        lines = pages.whole_run(8, 4)[:-1] + [pages.end(8, status=6, message=evil, time=evil)]
        lines[0].update(time=evil, evaluated_on=evil, exchange=evil, algorithms=evil)
        config = {"options": {evil: evil, "list": [evil, {evil: [[[[[evil]]]]]}], "clip-norm": 1}, "exchange": evil, "algorithms": evil,
                  "provenance": {"hosts": evil, "libraries": {evil: None}}}
        pages.write_run(self.path(name), lines, config=config, summary={evil: evil, "config": 1})
        os.symlink(self.path(name), self.path("run"))
        page = self.report()
        self.assertEqual(page.state(), "ended with status 6")
        shown = evil.replace("\x01", "\ufffd")
        self.assertIn(shown, page.root.all("header")[0].text())
        self.assertGreater(page.section("Settings and machine").text().count(shown), 6)
        self.assertEqual(page.root.all("bdi")[0].text(), "<script>alert(1)<!--'\"&amp;\t" + 2 * "\ufffd")

    def test_numbers_that_are_hard_to_draw(self):
        hard = [None, 0, -1, 1e-320, 1e300, -1e300, 1e29, 5, "many", [1], True]
        for field in ["loss", "accuracy", "lr", "grad_norm", "clip_scale", "images_per_second", "step_s", "compute_s", "samples", "epoch"]:
            lines = [pages.start(0, 20, 5)] + [pages.step(i + 1, 5, **{field: value}) for i, value in enumerate(hard)]
            with self.subTest(field=field):
                self.page(lines)
            os.rename(self.path("run"), self.path("run-" + field))
        for field in ["test_loss", "test_accuracy", "epoch"]:
            with self.subTest(evaluated=field):
                self.page([pages.start(0, 20, 5), *[pages.evaluation(i + 1, 5, **{field: value}) for i, value in enumerate([0.5, *hard, None])]])
            os.rename(self.path("run"), self.path("run-eval-" + field))
        for i, value in enumerate([1e300, -5, 0, 1e18, 3.5]):
            with self.subTest(step=value):
                self.page([pages.start(0, 20, 5), pages.step(1, 5), pages.step(2, 5, step=value), pages.evaluation(3, 5, step=value)])
            os.rename(self.path("run"), self.path(f"run-{i}"))

    def test_runs_that_have_hardly_begun(self):
        for i, lines in enumerate([[pages.start(0, 20, 5)], [pages.step(1, 5)], [pages.start(0, 20, 5), pages.step(1, 5)],
                                   [pages.evaluation(5, 5)], [pages.end(0)], [{"event": "step"}, {"event": "eval", "confusion": [[1]]}]]):
            page = self.page(lines)
            self.assertEqual(page.figure("Loss").all("text", "x")[-1].text() == "no values yet", i in (0, 4, 5), i)
            os.rename(self.path("run"), self.path(f"run-{i}"))

    def test_torn_and_foreign_lines(self):
        lines = pages.whole_run(8, 4)[:-1]
        page = self.page(lines, torn='{"event":"step","step":9,"lo')
        self.assertIn("1 that cannot be read were passed over", page.root.all("footer")[0].text())
        self.check_epochs(page, lines)
        with open(self.path("run", "metrics.jsonl"), "a", encoding="utf-8") as file:
            file.write('\n[]\n"step"\n\n{"event":5}\n\x00\n{"event":"of another version"}\n')
        page = self.report()
        self.assertIn("6 that cannot be read", page.root.all("footer")[0].text())
        self.check_epochs(page, lines)

    def test_a_run_that_went_back(self):
        lines = [pages.start(0, 16, 4)] + [pages.step(i, 4) for i in range(1, 8)]
        lines.insert(5, pages.evaluation(4, 4))
        lines += [{"event": "skip", "step": 8, "epoch": 2, "step_s": 1, "exchange_s": 0.1},
                  {"event": "rollback", "step": 2, "from_step": 8, "path": "there"}]
        page = self.page(lines)
        self.assertEqual([row[1] for row in page.rows("Epochs")[1:]], ["2"])
        self.assertIsNone(page.section("Confusion"))
        self.assertEqual({mark.text() for mark in page.root.all("path", "mark")}, {"went back to step 2"})
        with open(self.path("run", "metrics.jsonl"), "a", encoding="utf-8") as file:
            file.writelines(json.dumps(pages.step(i, 4, loss=7.5)) + "\n" for i in range(3, 7))
        page = self.report()
        self.assertEqual([row[1:3] for row in page.rows("Epochs")[2:]], [["2", "7.5000"]])
        self.assertIn("1steps that changed nothing", page.root.all("ul", "tiles")[0].text())

    def test_a_long_run(self):
        lines = pages.whole_run(100000, 200)
        page = self.page(lines[:-1], config={"options": {"clip-norm": 2}})
        self.assertLess(len(page.source.encode()), 2e6)
        rows = page.rows("Epochs")[1:]
        self.assertLess(len(rows), 310)
        self.assertEqual(rows[-1][0], "500")
        loss = page.figure("Loss")
        curve = pages.points(loss.all("path", "line")[0])
        self.assertTrue(300 < len(curve) < 1000)
        self.assertEqual(len(pages.points(loss.all("path", "band")[0])), 2 * (len(curve) - 1))
        self.assertGreater(curve[-1][1], curve[0][1])
        self.assertIn("clipped to 2", page.figure("Gradient norm").all("ul")[0].text())

    def test_ticks_are_round(self):
        page = self.page(pages.whole_run(1876, 469))
        for figure in page.root.all("figure"):
            texts = [text.text().replace(",", "") for text in figure.all("text", "x") if "unit" not in text.attributes["class"].split()]
            self.assertEqual(texts, ["0", "500", "1000", "1500"])
            uprights = [float(text.text().replace(",", "")) for text in figure.all("text", "y")]
            self.assertGreaterEqual(len(uprights), 3)
            for value in uprights:
                digits = f"{value:e}".split("e")[0].rstrip("0").rstrip(".").replace(".", "")
                self.assertLessEqual(len(digits), 2, value)
        for title in ["Throughput", "Learning rate", "Time of a step"]:
            self.assertEqual(page.figure(title).all("text", "y")[0].text(), "0")


class Refused(Reports):
    def refused(self, status, pattern, *arguments):
        self.assert_refused(status, pattern, "report", *arguments)

    def test_what_is_no_run(self):
        self.refused(5, "nowhere: there is no such run folder$", "nowhere")
        os.makedirs(self.path("empty"))
        self.refused(5, "empty/metrics.jsonl: .*No such file", "empty")
        self.refused(5, "x/metrics.jsonl: holds no line of a run$", pages.write_run(self.path("x"), [{"event": "purchase"}], torn="{}"))
        self.refused(5, "/x/metrics.jsonl: there is no such run folder$", self.path("x", "metrics.jsonl"))
        os.makedirs(self.path("folder", "metrics.jsonl"))
        self.refused(5, "folder/metrics.jsonl: ", "folder")
        os.makedirs(self.path("pipe"))
        os.mkfifo(self.path("pipe", "metrics.jsonl"))
        self.refused(5, "pipe/metrics.jsonl: ", "pipe")
        self.refused(2, "")
        self.refused(2, "", "x", "empty")
        for folder in ["empty", "x", "folder", "pipe"]:
            self.assertNotIn("report.html", os.listdir(self.path(folder)))

    def test_where_the_page_goes(self):
        run = pages.write_run(self.path("run"), pages.whole_run(3, 3))
        os.makedirs(self.path("page"))
        self.refused(5, "page: is no file", run, "--html", self.path("page"))
        os.mkfifo(self.path("pipe"))
        self.refused(5, "pipe: is no file", run, "--html", self.path("pipe"))
        self.refused(5, "nowhere/page.html: ", run, "--html", self.path("nowhere", "page.html"))
        self.assertEqual(os.listdir(run), ["metrics.jsonl"])
        self.report("run", "--html", self.path("page.html"))
        self.report("run", "--html", self.path("page.html"))
        self.assertEqual(os.listdir(run), ["metrics.jsonl"])
        os.symlink(self.path("page.html"), self.path("run", "report.html"))
        self.report()
        self.assertFalse(os.path.islink(self.path("run", "report.html")))

    def test_damaged_files_beside_it(self):
        for i, content in enumerate(["", "{", "[]", "5", '"x"', '{"options": [], "provenance": 5}']):
            run = f"run-{i}"
            pages.write_run(self.path(run), pages.whole_run(3, 3), config=content, summary=content)
            self.report(run)
        pages.write_run(self.path("pipes"), pages.whole_run(3, 3))
        for name in ["config.json", "summary.json"]:
            os.mkfifo(self.path("pipes", name))
        self.report("pipes")


if __name__ == "__main__":
    unittest.main()
