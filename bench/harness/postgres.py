"""A private PostgreSQL server: default settings, as durable as they are, on the loopback address."""

import os
import pwd
import secrets
import signal
from contextlib import ExitStack, suppress
from pathlib import Path

from . import ROOT, Trouble
from .processes import cpu_seconds, free_port, run, start, wait_until


class Server:
    """A running server. It ends with the stack that it was started on."""

    def __init__(self, stack: ExitStack, programs: dict, folder: Path):
        self.programs = programs
        self.port = free_port()
        password = secrets.token_hex(16)
        self.url = f"postgres://bench:{password}@127.0.0.1:{self.port}"
        # libpq's variables, for psql, pgbench and Django. Those of the caller are meant for another server.
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")} | {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": "bench",
            "PGPASSWORD": password,
        }
        self.log = folder / "postgres.log"
        data, secret = folder / "data", folder / "password"
        secret.write_text(password)
        identity = ordinary_user()
        if identity:
            os.chown(folder, identity["user"], identity["group"])
            os.chown(secret, identity["user"], identity["group"])
        initdb = [programs["initdb"], "-D", data, "-U", "bench", "--auth=scram-sha-256", f"--pwfile={secret}"]
        run(initdb + ["--encoding=UTF8", "--locale=C", "--no-sync"], cwd=folder, **identity)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            # pgbench with 1,024 clients. Everything else is PostgreSQL's default.
            "max_connections": 1100,
        }
        arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self.process = start(
            stack, [programs["postgres"], "-D", data, *arguments], self.log, end=signal.SIGINT, cwd=folder, **identity
        )
        wait_until(self.accepts, self.process, self.log)
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            if self.sql(f"SHOW {name}") != "on":
                raise Trouble(f"{name} is off: no figure would mean anything")

    def accepts(self):
        """Whether statements are executed."""
        try:
            return self.sql("SELECT 1") == "1"
        except Trouble:
            return False

    def sql(self, statement, database="postgres", timeout=300):
        """Executes a statement and returns what it returns, columns separated by spaces."""
        arguments = [self.programs["psql"], "-XAtq", "-F", " ", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statement]
        return run(arguments, timeout=timeout, env=self.environment).strip()

    def views(self, subject):
        """How many views of a subject are counted."""
        return int(self.sql(subject.count, subject.database))

    def migrate(self, database):
        """Applies the migrations of pageviews, for a client that does not."""
        for migration in sorted((ROOT / "migrations").glob("*.sql")):
            self.sql(migration.read_text(), database)

    def fresh(self, stack: ExitStack, name, template="template1"):
        """A new database that goes away with the stack."""
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        stack.callback(self.drop, name)
        return name

    def drop(self, name):
        """Drops a database, unless the server is gone already, and the database with it."""
        with suppress(Trouble):
            self.sql(f"DROP DATABASE {name} WITH (FORCE)")

    def cpu_seconds(self):
        """CPU time of all its processes."""
        return cpu_seconds(self.process.pid)

    def transactions(self):
        """Transactions that wrote something, since the server started. pg_stat_database.xact_commit counts
        the reading ones too, and a connection reports to it up to 10 s late."""
        return int(self.sql("SELECT pg_snapshot_xmax(pg_current_snapshot())"))


def ordinary_user():
    """Who runs the server, as options of subprocess: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
            return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        except KeyError:
            continue
    raise Trouble("PostgreSQL refuses to run as root, and there is no user postgres or nobody; add one")
