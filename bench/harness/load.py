"""Load, and what it showed: one run of one subject."""

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from . import BENCH, Trouble
from .postgres import Server
from .processes import cpu_seconds, peak_rss_mib, run, settle, start, wait_until
from .subjects import Subject

# Longer than any answer takes: 1,024 visitors of the slowest peer wait for seconds.
TIMEOUT = 60
# Each visit pays for the look into the list of crawlers. wrk says nothing of itself.
BROWSER = (
    "User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Safari/537.36"
)


@dataclass
class Sample:
    """The figures of one run. Seconds; None where it has no meaning."""

    rate: float
    p50: float | None
    p99: float | None
    # Bytes on the wire for each response, with its headers.
    size: float | None = None
    app_cpu: float | None = None
    database_cpu: float | None = None
    views_per_transaction: float | None = None
    rss: float | None = None


class Untrue(Exception):
    """Why the figures of a run mean nothing."""


def measure(subject: Subject, server: Server, connections, warmup, seconds, headers=()):
    """Drives a subject over keep-alive connections, between two moments at rest."""
    wrk(server.programs["wrk"], subject, connections, warmup, headers)
    before = at_rest(subject, server)
    answered = wrk(server.programs["wrk"], subject, connections, seconds, headers)
    after = at_rest(subject, server)
    app_cpu, database_cpu, transactions, counted = (b - a for a, b in zip(before, after))
    problems = {kind: answered[kind] for kind in ("status", "connect", "read", "write", "timeout") if answered[kind]}
    if problems:
        raise Untrue(f"wrk saw errors: {problems}")
    if not answered["requests"]:
        raise Untrue("nothing was answered")
    if not subject.store:
        counted = answered["requests"]
    # What wrk had asked but not read when its time was up may be counted or not: one per connection.
    elif not answered["requests"] <= counted <= answered["requests"] + connections:
        raise Untrue(f"{answered['requests']} views were answered and {counted} counted, over {connections} connections")
    return Sample(
        rate=answered["requests"] / answered["seconds"],
        p50=answered["p50"],
        p99=answered["p99"],
        size=answered["bytes"] / answered["requests"],
        app_cpu=app_cpu / counted,
        database_cpu=database_cpu / counted if subject.store else None,
        views_per_transaction=counted / transactions if transactions else None,
        rss=peak_rss_mib(subject.pids[0]),
    )


def at_rest(subject: Subject, server: Server):
    """CPU seconds of the subject and of its store, transactions and views so far."""
    store = subject.store
    # PostgreSQL too where another store counts: it must not be busy with the run before.
    settle([*subject.pids, *{each.process.pid for each in (server, store) if each}])
    app_cpu = sum(map(cpu_seconds, subject.pids))
    if not store:
        return app_cpu, 0, 0, 0
    return app_cpu, store.cpu_seconds(), store.transactions(), store.views(subject)


def wrk(program, subject: Subject, connections, seconds, headers):
    """Requests over `connections` for `seconds`."""
    output = run(
        [
            program,
            f"-t{subject.threads}",
            f"-c{connections}",
            f"-d{seconds}s",
            f"--timeout={TIMEOUT}s",
            "-s",
            str(BENCH / "harness" / subject.script),
            *[part for header in (BROWSER, *headers) for part in ("-H", header)],
            subject.url,
            "--",
            *map(str, subject.arguments),
        ],
        timeout=seconds + TIMEOUT,
    )
    for line in output.splitlines():
        if line.startswith("RESULT "):
            return json.loads(line.removeprefix("RESULT "))
    raise Trouble(f"wrk printed no result: {output!r}")


def pgbench(server: Server, folder: Path, connections, warmup, seconds):
    """pgbench doing one UPDATE per view: no HTTP, no page, as many database connections as visitors."""
    with ExitStack() as stack:
        database = server.fresh(stack, "bench_pgbench")
        server.migrate(database)
        server.sql("INSERT INTO pages (page, views) VALUES ('/', 0)", database)
        update = "UPDATE pages SET views = views + 1 WHERE page = '/' RETURNING views;\n"
        return statements(server, folder, database, [update], connections, warmup, seconds)


def statements(server: Server, folder: Path, database, scripts, connections, warmup, seconds, environment={}):
    """pgbench with these scripts, one of them at random for each transaction, while they count views."""
    with ExitStack() as stack:
        log, latencies = folder / "pgbench.log", folder / "pgbench_latencies"
        files = [folder / f"pgbench-{number}.sql" for number, _ in enumerate(scripts)]
        for file, script in zip(files, scripts):
            file.write_text(script)
        for old in folder.glob(f"{latencies.name}.*"):
            old.unlink()
        # Ended by us: by its own clock it would count the time that a thousand clients take to connect.
        arguments = ["-n", "-M", "prepared", "-T", "600", "-c", connections, "-j", min(2, connections)]
        arguments += [part for file in files for part in ("-f", file)]
        process = start(
            stack,
            [server.programs["pgbench"], *arguments, "-l", f"--log-prefix={latencies}", database],
            log,
            env=server.environment | environment,
        )
        now = "SELECT extract(epoch FROM clock_timestamp()), sum(views) FROM pages"

        def counted():
            moment, views = server.sql(now, database).split()
            return float(moment), int(views)

        first = counted()[1]
        wait_until(lambda: counted()[1] > first, process, log, within=60)
        time.sleep(warmup)
        before, cpu, transactions = counted(), server.cpu_seconds(), server.transactions()
        time.sleep(seconds)
        transactions, cpu, after = server.transactions() - transactions, server.cpu_seconds() - cpu, counted()
        if process.poll() is not None:
            raise Untrue(f"pgbench ended: {log.read_text()!r}")
    elapsed, views = (b - a for a, b in zip(before, after))
    # client, transaction, microseconds, script, epoch, microseconds of it
    lines = [line.split() for file in folder.glob(f"{latencies.name}.*") for line in file.read_text().splitlines()]
    took = sorted(
        int(line[2]) / 1e6 for line in lines if len(line) == 6 and before[0] <= int(line[4]) + int(line[5]) / 1e6 <= after[0]
    )
    if not views:
        raise Untrue("pgbench finished no transaction")
    return Sample(
        rate=views / elapsed,
        # pgbench keeps the last lines for itself when it is ended. They may be all.
        p50=took[len(took) // 2] if took else None,
        p99=took[len(took) * 99 // 100] if took else None,
        database_cpu=cpu / views,
        views_per_transaction=views / transactions,
    )
