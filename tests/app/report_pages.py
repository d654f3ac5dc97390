"""What the tests of report share: folders of runs that nobody made, and a page taken apart."""
import base64
import html.parser
import json
import os
import random
import re
import struct
import zlib

VOID = {"meta", "br", "img", "path", "rect", "circle"}
KNOWN = {"html", "head", "meta", "title", "style", "body", "main", "header", "footer", "section", "h1", "h2", "h3", "p", "span", "bdi", "b",
         "i", "ul", "li", "div", "figure", "figcaption", "svg", "path", "rect", "circle", "text", "table", "thead", "tbody", "tr", "th", "td",
         "details", "summary", "img"}
SVG_VOID = {"path", "rect", "circle"}


class Element:
    def __init__(self, name, attributes, parent):
        self.name, self.attributes, self.parent = name, attributes, parent
        self.children, self.words = [], []

    def all(self, name, kind=None):
        """Elements of that name below this one, and of that class."""
        found = []
        for child in self.children:
            found += [child] if child.name == name and (kind is None or kind in child.attributes.get("class", "").split()) else []
            found += child.all(name, kind)
        return found

    def text(self):
        return "".join(word if isinstance(word, str) else word.text() for word in self.words)


class Page(html.parser.HTMLParser):
    """The page as a tree. `wrong` says what is not well nested, not known, or asks for something."""

    def __init__(self, path):
        super().__init__(convert_charrefs=True)
        self.root = self.at = Element("", {}, None)
        self.wrong = []
        with open(path, encoding="utf-8", errors="strict") as file:
            self.source = file.read()
        self.feed(self.source)
        self.close()
        if self.at is not self.root:
            self.wrong.append(f"<{self.at.name}> is not closed")
        if re.search(r"\bnan\b|\binf\b", self.source.split("</style>")[-1]):
            self.wrong.append("a number is none")
        if re.search(r"url\(|@import|expression\(", self.source):
            self.wrong.append("a style asks for something")

    def add(self, name, attributes):
        inline = re.fullmatch(r"data:image/png;base64,[A-Za-z0-9+/]+=*", dict(attributes).get("src") or "")
        names = [key for key, _ in attributes if not (key == "src" and name == "img" and inline)]
        if name not in KNOWN or any(key in ("src", "href", "srcset", "action", "data") or key.startswith("on") for key in names):
            self.wrong.append(f"<{name} {attributes}>")
        element = Element(name, dict(attributes), self.at)
        self.at.children.append(element)
        self.at.words.append(element)
        return element

    def handle_starttag(self, tag, attrs):
        element = self.add(tag, attrs)
        if tag not in {"meta", "br", "img"}:
            self.at = element

    def handle_startendtag(self, tag, attrs):
        if tag not in SVG_VOID:
            self.wrong.append(f"<{tag}/>")
        self.add(tag, attrs)

    def handle_endtag(self, tag):
        if tag != self.at.name:
            self.wrong.append(f"</{tag}> in <{self.at.name}>")
        elif self.at.parent:
            self.at = self.at.parent

    def handle_data(self, data):
        self.at.words.append(data)

    def handle_comment(self, data):
        self.wrong.append(f"<!--{data}-->")

    def figure(self, title):
        return next(figure for figure in self.root.all("figure") if figure.all("h3")[0].text() == title)

    def section(self, title):
        """None if there is none."""
        return next((section for section in self.root.all("section") if section.all("h2")[0].text() == title), None)

    def rows(self, title):
        """The texts of a section's table."""
        return [[cell.text() for cell in row.children] for row in self.section(title).all("table")[0].all("tr")]

    def state(self):
        return self.root.all("span", "badge")[0].text()


def points(path):
    """Of a path of which each command is a move or a line to an absolute place."""
    text = path.attributes["d"]
    assert re.fullmatch(r"([ML]-?\d+(\.\d)? -?\d+(\.\d)?)*", text), text[:200]
    return [(float(x), float(y)) for x, y in re.findall(r"[ML](\S+?) ([^ML]+)", text)]


def plot_of(figure):
    """Left, upper, right and lower edge."""
    x, y, width, height = (float(figure.all("rect", "plot")[0].attributes[key]) for key in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


def strays(figure):
    """Points that lie outside of the plot, and texts that lie on it."""
    left, upper, right, lower = plot_of(figure)
    found = [point for path in figure.all("path") if path.attributes["class"] != "tick" for point in points(path)]
    found += [(float(dot.attributes["cx"]), float(dot.attributes["cy"])) for dot in figure.all("circle")]
    wrong = [(x, y) for x, y in found if not (left - 0.1 <= x <= right + 0.1 and upper - 0.1 <= y <= lower + 0.1)]
    for text in figure.all("text"):
        x, y = float(text.attributes["x"]), float(text.attributes["y"])
        if left < x < right and upper < y < lower and text.text() != "no values yet":
            wrong.append((x, y, text.text()))
    return wrong


def start(step, steps, per_epoch, **more):
    return {"event": "start", "step": step, "epoch": step // per_epoch, "epochs": -(-steps // per_epoch), "steps_total": steps,
            "steps_per_epoch": per_epoch, "train_samples": 60000, "test_samples": 10000, "evaluated_on": "test", "batch_size": 128,
            "ranks": 2, "threads": 1, "exchange": "node", "algorithms": "conv1:direct/-/direct", "startup_s": 1.0, **more}


def step(number, per_epoch, **more):
    """One as a real run has them: a loss that falls, with noise."""
    random.seed(number)
    loss = (6 * 2 ** (-number / 50) + 0.01) * random.lognormvariate(0, 0.4)
    norm, seconds = 2 * loss ** 0.2 * random.lognormvariate(0, 0.3), 0.4 * random.lognormvariate(0, 0.05)
    return {"event": "step", "step": number, "epoch": (number - 1) // per_epoch + 1, "samples": 128, "loss": loss,
            "accuracy": round(128 / (1 + loss)) / 128, "lr": 0.05 / (1 + number / 1000), "grad_norm": norm, "clip_scale": min(1, 1 / norm),
            "images_per_second": 128 / seconds, "step_s": seconds, "compute_s": 0.8 * seconds, "exchange_s": 0.05 * seconds,
            "update_s": 0.15 * seconds, **more}


def picture():
    """A PNG file of 32 x 32 grey pixels, in base64."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + bytes(8 * abs(x - y) % 256 for x in range(32)) for y in range(32))
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 0, 0, 0, 0)) +
                            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")).decode()


def evaluation(number, per_epoch, **more):
    right = 10000 - 10000 // (2 + number)
    confusion = [[0] * 10 for _ in range(10)]
    confusion[3][3], confusion[3][8] = right, 10000 - right
    return {"event": "eval", "epoch": -(-number // per_epoch), "step": number, "train_loss": 0.1, "train_accuracy": 0.9,
            "test_loss": 1 - right / 10000 + 0.001, "test_accuracy": right / 10000, "samples": 10000, "eval_s": 2.0, "train_s": 1.0,
            "best": True, "confusion": confusion,
            "mistakes": [{"image": 17 * i, "label": 3, "answer": 8, "probability": 0.99 - 0.01 * i, "png": picture()} for i in range(12)], **more}


def end(number, **more):
    return {"event": "end", "status": 0, "message": "", "step": number, "wall_s": 0.5 * number, "train_s": 0.4 * number, "step_s": 0.4,
            "exchange_s": 0.02, "skipped_steps": 0, "images": 128 * number, "best_accuracy": 0.9, "final_accuracy": 0.9, "final_loss": 0.1,
            "memory_peak_bytes": 603900000, **more}


def whole_run(steps, per_epoch):
    lines = [start(0, steps, per_epoch)]
    for number in range(1, steps + 1):
        lines.append(step(number, per_epoch))
        lines += [evaluation(number, per_epoch)] if number % per_epoch == 0 or number == steps else []
    return lines + [end(steps)]


def write_run(folder, lines, config=None, summary=None, torn=""):
    os.makedirs(folder)
    with open(os.path.join(folder, "metrics.jsonl"), "w", encoding="utf-8") as file:
        for line in lines:
            file.write(json.dumps({"time": "2026-11-23T13:02:00.000Z", **line}, separators=(",", ":")) + "\n")
        file.write(torn)
    for name, content in [("config.json", config), ("summary.json", summary)]:
        if content is not None:
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(content if isinstance(content, str) else json.dumps(content))
    return folder
