"""The report: medians over the rounds, and ratios of what ran in the same round."""

import datetime
import os
import platform
import statistics
from collections import defaultdict
from pathlib import Path

from .processes import run

# The columns of a table of samples: heading, figure, scale, digits.
COLUMNS = [
    ("requests/s", "rate", 1, 0),
    ("p50 ms", "p50", 1e3, 2),
    ("p99 ms", "p99", 1e3, 2),
    ("app CPU µs/view", "app_cpu", 1e6, 1),
    ("database CPU µs/view", "database_cpu", 1e6, 1),
    ("views/transaction", "views_per_transaction", 1, 1),
    ("peak RSS MiB", "rss", 1, 1),
]


# Beside them where compression matters.
SIZE = ("bytes/response", "size", 1, 0)
# Where several replicas share a database.
WAITS = [("waits for a row, %", "row", 100, 0), ("for the disk, %", "disk", 100, 0)]


class Results:
    """Samples by cell and round. A cell is any tuple that names what was measured."""

    def __init__(self):
        self.samples = defaultdict(dict)
        self.problems = []

    def rounds(self, *cells):
        """The rounds in which every one of these cells has a sample."""
        found = [set(self.samples[cell]) for cell in cells]
        return sorted(set.intersection(*found))

    def median(self, figure, *cells):
        """The median of a figure over the rounds; with several cells, `figure` is a function of their samples."""
        value = figure if callable(figure) else lambda sample: getattr(sample, figure)
        values = [value(*(self.samples[cell][number] for cell in cells)) for number in self.rounds(*cells)]
        values = [value for value in values if value is not None]
        return statistics.median(values) if values else None

    def ratio(self, cell, other):
        """The median of the ratios of two rates."""
        return self.median(lambda a, b: a.rate / b.rate, cell, other)

    def table(self, heading, rows, columns=COLUMNS):
        """A Markdown table; `rows` are pairs of a label and a cell."""
        lines = [markdown_row([heading, *[column[0] for column in columns]]), "|---|" + "---:|" * len(columns)]
        for label, cell in rows:
            figures = []
            for _, figure, scale, digits in columns:
                value = self.median(figure, cell)
                figures.append("–" if value is None else f"{value * scale:,.{digits}f}")
            lines.append(markdown_row([label, *figures]))
        return "\n".join(lines)


def markdown_row(cells):
    return "| " + " | ".join(cells) + " |"


def ratio_table(headings, rows):
    """A Markdown table of ratios."""
    lines = [markdown_row(headings), "|---" + "|---:" * (len(headings) - 1) + "|"]
    lines += [markdown_row([label, *["–" if value is None else f"{value:,.2f}" for value in values]]) for label, values in rows]
    return "\n".join(lines)


def goal_table(goals):
    """A Markdown table of goals: what, the goal's sign and value, what was measured."""
    lines = ["| goal | asked | measured | met |", "|---|---:|---:|---|"]
    for what, sign, asked, measured in goals:
        if measured is None:
            lines.append(markdown_row([what, f"{sign} {asked}", "–", "not measured"]))
            continue
        met = {"≥": measured >= asked, "≤": measured <= asked, "<": measured < asked}[sign]
        lines.append(markdown_row([what, f"{sign} {asked}", f"{measured:,.2f}", "yes" if met else "**no**"]))
    return "\n".join(lines)


def machine(folder: Path):
    """What it ran on."""
    processor = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")),
        platform.machine(),
    )
    memory = next(int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    file_system = run(["df", "--output=fstype", str(folder)]).split()[-1]
    return [
        datetime.date.today().isoformat(),
        f"{processor}, {os.cpu_count()} cores, {memory / 2**20:.0f} GiB",
        f"{platform.freedesktop_os_release()['PRETTY_NAME']}, Linux {platform.release()}, database on {file_system}",
    ]
