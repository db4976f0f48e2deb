"""The parts of `bench/run`."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "bench"


class Trouble(Exception):
    """Why the benchmark cannot go on: one line, with what to do about it."""
