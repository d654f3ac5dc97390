"""report, as a browser shows it: a page that says nothing on the console and asks for nothing, on which nothing lies upon another, in light
and in dark. Exit status 77 (skipped) where there is no Chromium."""
import json
import os
import re
import shutil
import sys
import unittest

import cli
import report_pages as pages

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
POLICY = re.compile(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>")

# Put into a copy of the page: what overlaps, what is cut off, and how far text and ground are apart, as the attribute of an element.
LOOK = """<script>
const boxes = (root, selector) => [...root.querySelectorAll(selector)].map(e => [e.textContent || e.className.baseVal || e.className,
    e.getBoundingClientRect()]);
const overlap = (a, b) => a.left < b.right - 0.5 && b.left < a.right - 0.5 && a.top < b.bottom - 0.5 && b.top < a.bottom - 0.5;
const found = [];
for (const figure of document.querySelectorAll("figure")) {
    const keys = boxes(figure, ".key li, h3"), texts = boxes(figure, "svg text"), plot = figure.querySelector(".plot").getBoundingClientRect();
    const drawn = boxes(figure, "path.line[d^=M], path.band[d^=M], path.mark, path.level, circle");
    for (const [name, box] of [...keys, ...texts].filter(([name]) => name !== "no values yet"))
        for (const [what, other] of [...drawn, ["plot", plot]])
            if (overlap(box, other)) found.push(name + " lies on " + what);
    const all = [...keys, ...texts], frame = figure.getBoundingClientRect();
    for (let i = 0; i < all.length; i++) {
        for (let k = 0; k < i; k++) if (overlap(all[i][1], all[k][1])) found.push(all[i][0] + " lies on " + all[k][0]);
        if (all[i][1].left < frame.left || all[i][1].right > frame.right) found.push(all[i][0] + " is cut off");
    }
    for (const [name, box] of drawn)
        if (box.left < plot.left - 5 || box.right > plot.right + 5 || box.top < plot.top - 5 || box.bottom > plot.bottom + 5)
            found.push(name + " leaves its plot");
}
if (document.documentElement.scrollWidth > innerWidth) found.push("the page is wider than the window");
document.body.dataset.found = JSON.stringify({overlaps: found, figures: document.querySelectorAll("figure").length,
    ground: lightness(document.body, "backgroundColor"), text: lightness(document.querySelector("h1"), "color"),
    label: lightness(document.querySelector("svg text"), "fill")});
function lightness(element, property) {
    return getComputedStyle(element)[property].match(/\\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0) / 765;
}
</script></body>"""


class Browser(cli.Case):
    def page_of(self, name, lines):
        config = {"options": {"clip-norm": 1, "lr": 0.05}, "provenance": {"hosts": "there", "processor": "x" * 300}}
        run = pages.write_run(self.path(name), lines, config=config)
        outcome = self.run_command([cli.PROGRAM, "report", run])
        self.assertEqual(outcome.status, 0, outcome.err)
        return os.path.join(run, "report.html")

    def show(self, path, *options):
        """The document that came of the page, what it said on the console, and the addresses that it asked for. Nobody is asked: no name
        leads anywhere."""
        log = self.path("net.json")
        outcome = self.run_command(
            [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", "--disable-default-apps", "--enable-logging=stderr", "--hide-scrollbars",
             "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={self.path('profile')}", f"--log-net-log={log}", *options,
             "--dump-dom", "file://" + path])
        self.assertEqual(outcome.status, 0, outcome.err)
        with open(log, encoding="utf-8") as file:
            net = json.load(file)
        begins = net["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
        asked = [event["params"]["url"] for event in net["events"] if event["type"] == begins and "url" in event.get("params", {})
                 and event["params"].get("initiator") != "not an origin"]  # that is the browser's own
        said = [line for line in outcome.err.splitlines() if ":CONSOLE" in line]
        return outcome.out, said, asked

    def looked_at(self, path, *options):
        with open(path, encoding="utf-8") as file:
            source = file.read()
        self.assertEqual(len(POLICY.findall(source)), 1)
        copy = self.path("copy.html")
        with open(copy, "w", encoding="utf-8") as file:
            file.write(POLICY.sub("", source).replace("</body>", LOOK))
        document, said, _ = self.show(copy, *options)
        self.assertEqual(said, [])
        found = json.loads(re.search(r'data-found="([^"]*)"', document).group(1).replace("&quot;", '"').replace("&amp;", "&"))
        self.assertEqual(found["figures"], 7)
        return found

    def test_it_asks_for_nothing_and_says_nothing(self):
        path = self.page_of("run", pages.whole_run(300, 100))
        picture = self.path("picture.png")
        document, said, asked = self.show(path)
        self.assertIn("<svg", document)
        self.assertEqual((said, [address for address in asked if not address.startswith("file://")]), ([], []))
        self.show(path, f"--screenshot={picture}", "--window-size=1200,2400")
        self.assertGreater(os.path.getsize(picture), 20000)

    def test_this_test_sees_what_is_said_and_asked(self):
        with open(self.page_of("run", pages.whole_run(3, 3)), encoding="utf-8") as file:
            source = file.read()
        bad = '<img src="http://127.0.0.1:9/x.png"><script>nowhere()</script></body>'
        for name, text, expected in [("with", source, []), ("without", POLICY.sub("", source), ["http://127.0.0.1:9/x.png"])]:
            with open(self.path(name + ".html"), "w", encoding="utf-8") as file:
                file.write(text.replace("</body>", bad))
            _, said, asked = self.show(self.path(name + ".html"))
            self.assertGreater(len(said), 0, name)
            self.assertEqual([address for address in asked if not address.startswith("file://")], expected)

    def test_nothing_lies_upon_another(self):
        resumed = pages.whole_run(1876, 469)
        resumed.insert(800, {"event": "rollback", "step": 790})
        resumed.insert(300, pages.start(290, 1876, 469))
        runs = {"resumed": resumed, "short": pages.whole_run(3, 3), "begun": [pages.start(0, 20, 5)], "long": pages.whole_run(20000, 100)}
        for name, lines in runs.items():
            path = self.page_of(name, lines)
            for width in [1280, 800, 500]:
                with self.subTest(run=name, width=width):
                    self.assertEqual(self.looked_at(path, f"--window-size={width},900")["overlaps"], [])

    def test_light_and_dark(self):
        path = self.page_of("run", pages.whole_run(30, 10))
        dark = self.looked_at(path, "--blink-settings=preferredColorScheme=0")
        light = self.looked_at(path, "--blink-settings=preferredColorScheme=1")
        self.assertLess(dark["ground"], 0.2)
        self.assertGreater(light["ground"], 0.8)
        for found, sign in [(dark, 1), (light, -1)]:
            self.assertGreater(sign * (found["text"] - found["ground"]), 0.6)
            self.assertGreater(sign * (found["label"] - found["ground"]), 0.4)


if __name__ == "__main__":
    if not BROWSER:
        print("skipped: chromium is not installed (Debian: chromium)")
        sys.exit(77)
    unittest.main()
