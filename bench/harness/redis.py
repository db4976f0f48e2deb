"""A private Redis: default settings, but for how durable it is, on the loopback address."""

import shutil
from contextlib import ExitStack
from pathlib import Path

from . import Trouble
from .processes import cpu_seconds, free_port, run, start, wait_until


class Redis:
    """A running server without data. It ends with the stack that it was started on, and its data goes away."""

    def __init__(self, stack: ExitStack, programs: dict, folder: Path, appendfsync):
        self.programs = programs
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        folder.mkdir()
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        durability = {"appendonly": "yes", "appendfsync": appendfsync}
        settings = {"bind": "127.0.0.1", "port": self.port, "dir": folder} | durability
        arguments = [part for name, value in settings.items() for part in (f"--{name}", value)]
        log = folder / "redis.log"
        self.process = start(stack, [programs["redis-server"], *arguments], log, stdout=None, cwd=folder)
        wait_until(self.accepts, self.process, log)
        for name, value in durability.items():
            if self.command("CONFIG", "GET", name).split() != [name, value]:
                raise Trouble(f"Redis's {name} is not {value}: its figures would not mean what they say")

    def accepts(self):
        """Whether commands are executed."""
        try:
            return self.command("PING") == "PONG"
        except Trouble:
            return False

    def command(self, *words):
        """Executes a command and returns its reply."""
        return run([self.programs["redis-cli"], "-h", "127.0.0.1", "-p", str(self.port), *words]).strip()

    def views(self, subject):
        """How many views of a subject are counted."""
        return int(self.command("GET", subject.path))

    def cpu_seconds(self):
        """CPU time of all its threads."""
        return cpu_seconds(self.process.pid)

    def transactions(self):
        """None that could be counted: with `always`, one fsync is for all commands that Redis had read by then."""
        return 0
