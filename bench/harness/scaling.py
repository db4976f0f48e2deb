"""How far one database goes: with several replicas, and with the statement of a batch alone."""

import random
import re
import socket
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from . import ROOT, Trouble
from .load import Sample, Untrue, measure, statements
from .processes import start, wait_until
from .subjects import Subjects

# One for each replica, of which there are no more. The client then costs the same whatever their number.
THREADS = 16
# How often to look what the database waits for, in seconds. A look takes it about a millisecond.
LOOK_INTERVAL = 0.2
LEDGER = ROOT / "src/counter/ledger.rs"


@dataclass
class Shared(Sample):
    """What several replicas showed. Of the batches that the database worked on, the share that waited."""

    # For another replica's batch, which had changed the same page.
    row: float | None = None
    # For the disk.
    disk: float | None = None


def replicas(subjects: Subjects, number, pages, with_listeners, connections, warmup, seconds):
    """Views of random pages over the API of several replicas, which share the connections."""
    with ExitStack() as stack:
        database = subjects.server.fresh(stack, "bench_pageviews", subjects.templates["pages", pages])
        settings = {"ROCKET_PAGES": '["p/*"]'}
        started = [
            subjects.rocket(stack, "pageviews", "/", settings, database=database) for _ in range(number)
        ]
        if with_listeners:
            for replica in started:
                stack.enter_context(live_stream(replica.port))
            await_listeners(subjects.server, database, number)
        together = replace(
            started[0],
            pids=[pid for replica in started for pid in replica.pids],
            count="SELECT sum(views) FROM pages",
            script="replicas.lua",
            arguments=(pages, *(replica.port for replica in started)),
            threads=THREADS,
        )
        with Waits(subjects.server, database, subjects.folder) as waits:
            sample = measure(together, subjects.server, connections, warmup, seconds)
        return Shared(**vars(sample), **waits.shares())


@contextmanager
def live_stream(port):
    """A visitor who follows a page. Nobody reads the stream: it then costs what the replica does for it."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as stream:
        stream.sendall(b"GET /live/p/1000001 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        if not stream.recv(64).startswith(b"HTTP/1.1 200 "):
            raise Trouble("there is no live stream")
        yield


def await_listeners(server, database, number):
    """Waits until so many replicas listen: each has read the totals of its pages then."""
    listeners = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND query LIKE '%page = ANY ($1)%' AND pid <> pg_backend_pid()"
    )
    wait_until(lambda: int(server.sql(listeners, database)) >= number, server.process, server.log)


class Waits:
    """What the batches in the database wait for, looked at again and again."""

    def __init__(self, server, database, folder: Path):
        self.log, self.seen = folder / "waits.log", {}
        look = folder / "waits.sql"
        look.write_text(
            "SELECT 'LOOK', coalesce(wait_event_type, '-'), coalesce(wait_event, '-'), count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND state = 'active' AND query LIKE '%WITH added AS%' "
            f"AND pid <> pg_backend_pid() GROUP BY 2, 3 \\watch {LOOK_INTERVAL}\n"
        )
        self.command = [server.programs["psql"], "-XAtq", "-F", " ", "-d", database, "-f", look]
        self.environment = server.environment

    def __enter__(self):
        self.stack = ExitStack()
        start(self.stack, self.command, self.log, stdout=None, env=self.environment)
        return self

    def __exit__(self, *_):
        self.stack.close()
        for line in self.log.read_text().splitlines():
            if line.startswith("LOOK ") and len(line.split()) == 4:
                _, kind, event, count = line.split()
                self.seen[kind, event] = self.seen.get((kind, event), 0) + int(count)

    def shares(self):
        """The shares of those that waited."""
        every = sum(self.seen.values())
        if not every:
            raise Untrue("the database never worked on a batch when it was looked at")

        def share(*events):
            return sum(count for event, count in self.seen.items() if event in events) / every

        return {
            "row": share(("Lock", "transactionid"), ("Lock", "tuple")),
            "disk": share(("IO", "WALSync"), ("IO", "WALWrite"), ("LWLock", "WALWrite")),
        }


def batches(subjects: Subjects, writers, views, pages, warmup, seconds):
    """The statement that adds a batch, from the program's own source, without a replica.

    Each of the writers adds batches of so many views, all of the only page, or each of a page of its own among many.
    """
    names = [f"p/{1_000_001 + number}" for number in range(pages)]
    with ExitStack() as stack:
        database = subjects.server.fresh(stack, "bench_pageviews", subjects.templates["pages", pages])
        # Some batches to choose from: the program too prepares its statement once.
        chosen = [sorted(random.sample(names, views)) if pages > 1 else names for _ in range(32 if pages > 1 else 1)]
        scripts = [script(batch, views // len(batch)) for batch in chosen]
        # As `plan_for_any_size` does.
        options = "-c enable_seqscan=off -c jit=off -c plan_cache_mode=force_generic_plan"
        return statements(
            subjects.server, subjects.folder, database, scripts, writers, warmup, seconds, {"PGOPTIONS": options}
        )


def script(names, views_each):
    """A script of pgbench that adds a batch of these pages, under a number of its own."""
    parameters = {
        "1": "('00000000-0000-0000-0000-' || lpad(:client_id, 12, '0'))::uuid",
        "2": "(extract(epoch FROM clock_timestamp()) * 1e6)::bigint",
        "3": "'{" + ",".join(names) + "}'::text[]",
        "4": "'{" + ",".join([str(views_each)] * len(names)) + "}'",
        "5": "true",
    }
    add = re.sub(r"^\s*--.*\n", "", constant("ADD"), flags=re.MULTILINE)
    return re.sub(r"\$(\d)", lambda match: parameters[match[1]], add) + ";\n"


def constant(name):
    """A constant of the program's source."""
    found = re.search(rf'^const {name}: &str = r#"(.*?)"#;$', LEDGER.read_text(), re.MULTILINE | re.DOTALL)
    if not found:
        raise Trouble(f"{LEDGER.name} has no {name}; teach bench/harness/scaling.py what it has")
    return found[1]
