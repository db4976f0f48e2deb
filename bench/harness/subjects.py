"""What is measured: each subject is started afresh for a run, with a database of its own."""

import json
import os
import re
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from . import BENCH, ROOT, Trouble
from .postgres import Server
from .processes import free_port, get, listening, run, start, wait_until
from .redis import Redis

TEN_YEARS = 3650


@dataclass
class Subject:
    """Something that answers requests, and counts them."""

    port: int
    path: str
    # Its processes, the database's apart. The first is the one whose memory is of interest.
    pids: list
    # What counts the views. None: nothing durable does.
    store: Server | Redis | None = None
    # Where, and with which statement, PostgreSQL counts them.
    database: str | None = None
    count: str | None = None
    # What wrk runs, in bench/harness, and what it hands over.
    script: str = "report.lua"
    arguments: tuple = ()
    # One thread feeds many times what one program eats.
    threads: int = 1

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}{self.path}"


@dataclass
class Subjects:
    """Starts subjects."""

    programs: dict
    server: Server
    folder: Path
    caddy: str | None = None
    python: Path | None = None
    # Databases to be copied for a run, by what is in them.
    templates: dict = field(default_factory=dict)

    @contextmanager
    def ours(self, earlier=0, checkout=None, **environment):
        """The real program, or that of another checkout, with `earlier` views and their history over ten years."""
        with ExitStack() as stack:
            subject = self.rocket(stack, "pageviews", "/", environment, checkout)
            subject.count = "SELECT coalesce(max(views), 0) FROM pages WHERE page = '/'"
            if earlier:
                self.server.sql(
                    f"INSERT INTO pages (page, views) VALUES ('/', {earlier}) "
                    "ON CONFLICT (page) DO UPDATE SET views = excluded.views",
                    subject.database,
                )
                self.server.sql(
                    "INSERT INTO days (page, day, views_before) "
                    f"SELECT '/', current_date - ago, {earlier} / {TEN_YEARS} * ({TEN_YEARS} - ago) "
                    f"FROM generate_series(1, {TEN_YEARS}) AS ago",
                    subject.database,
                )
                self.server.sql("VACUUM ANALYZE", subject.database)
            yield subject

    @contextmanager
    def page(self, **environment):
        """No database."""
        with ExitStack() as stack:
            yield replace(self.rocket(stack, "peers", "/peers/page", environment), store=None)

    @contextmanager
    def update(self):
        """One UPDATE of one row per view."""
        with ExitStack() as stack:
            subject = self.rocket(stack, "peers", "/peers/update", {})
            self.server.sql("INSERT INTO pages (page, views) VALUES ('/peers/update', 0)", subject.database)
            subject.count = "SELECT views FROM pages WHERE page = '/peers/update'"
            yield subject

    @contextmanager
    def insert(self):
        """One row per view and COUNT(*)."""
        with ExitStack() as stack:
            subject = self.rocket(stack, "peers", "/peers/insert", {})
            self.server.sql(
                "CREATE TABLE peer_views (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
                " page text NOT NULL, at timestamptz NOT NULL DEFAULT now())",
                subject.database,
            )
            subject.count = "SELECT count(*) FROM peer_views"
            yield subject

    def redis_always(self):
        """INCR in Redis, which answers after fsync."""
        return self.redis("always")

    def redis_everysec(self):
        """INCR in Redis, which may lose a second of views."""
        return self.redis("everysec")

    @contextmanager
    def redis(self, appendfsync):
        """One INCR per view."""
        with ExitStack() as stack:
            redis = Redis(stack, self.programs, self.folder / "redis", appendfsync)
            subject = self.rocket(stack, "peers", "/peers/redis", {"REDIS_URL": redis.url})
            yield replace(subject, store=redis)

    def prepare_pages(self, stack, sizes):
        """Makes a database with each number of pages, all of them viewed before and today, to be copied for each run."""
        for size in sizes:
            name = self.templates["pages", size] = self.server.fresh(stack, f"pages_{size}")
            with ExitStack() as migrated:
                self.rocket(migrated, "pageviews", "/", {}, database=name)
            # The names that pages.lua makes.
            names = f"SELECT 'p/' || 1000000 + number AS page FROM generate_series(1, {size}) AS number"
            today = "(now() AT TIME ZONE 'UTC')::date"
            self.server.sql(f"INSERT INTO pages (page, views, last_day) SELECT page, 1, {today} FROM ({names}) AS names", name)
            self.server.sql(f"INSERT INTO days (page, day, views_before) SELECT page, {today}, 0 FROM ({names}) AS names", name)
            self.server.sql("VACUUM ANALYZE", name)

    @contextmanager
    def many_pages(self, size):
        """The real program with this many pages. Views choose one at random, over the API: its answer is the smallest."""
        with ExitStack() as stack:
            # The copy is in the WAL since the last checkpoint, so no update logs a whole block. In service, too, most
            # updates do not: checkpoints are minutes apart.
            database = self.server.fresh(stack, "bench_pageviews", self.templates["pages", size])
            subject = self.rocket(stack, "pageviews", "/", {"ROCKET_PAGES": '["p/*"]'}, database=database)
            yield replace(subject, count="SELECT sum(views) FROM pages", script="pages.lua", arguments=(size,))

    @contextmanager
    def badge(self):
        """The badge of the only page."""
        with self.many_pages(1) as subject:
            yield replace(subject, path="/badge/p/1000001.svg", script="report.lua", arguments=())

    def rocket(self, stack, program, path, environment, checkout=None, database=None):
        """A Rocket program, configured as it ships. Without a database it gets an empty one."""
        port = free_port()
        log = self.folder / f"{program}-{port}.log"
        database = database or self.server.fresh(stack, f"bench_{program}")
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("ROCKET_", "PG", "DATABASE_", "REDIS_"))
        }
        own = {
            "ROCKET_PROFILE": "prod",
            "ROCKET_ADDRESS": "127.0.0.1",
            "ROCKET_PORT": str(port),
            "DATABASE_URL": f"{self.server.url}/{database}",
        }
        # With the templates and the configuration that it was written with.
        folder = checkout or ROOT
        binary = checkout / "target/release/pageviews" if checkout else self.programs[program]
        # What its image sets, such as the allocator's options.
        image = re.findall(r"^ENV (\w+)=(\S+)$", (folder / "Dockerfile").read_text(), re.MULTILINE)
        process = start(stack, [binary], log, cwd=folder, env=clean | dict(image) | own | environment)
        wait_until(lambda: (get(port, "/readyz") or [0])[0] == 200, process, log)
        return Subject(port, path, [process.pid], self.server, database)

    @contextmanager
    def behind_caddy(self, upstream):
        """Caddy in front of a subject, with our Caddyfile."""
        with ExitStack() as stack:
            subject, port, file = stack.enter_context(upstream), free_port(), self.folder / "caddy.json"
            file.write_text(json.dumps(self.caddy_config(port, f"127.0.0.1:{subject.port}")))
            yield self.start_caddy(stack, subject, port, ["--config", file], {})

    @contextmanager
    def behind_two_directives(self, upstream):
        """Caddy in front of a subject, with the shortest Caddyfile that serves it."""
        with ExitStack() as stack:
            subject, port = stack.enter_context(upstream), free_port()
            addresses = {"PORT": str(port), "UPSTREAM": f"127.0.0.1:{subject.port}"}
            arguments = ["--adapter", "caddyfile", "--config", BENCH / "Caddyfile"]
            yield self.start_caddy(stack, subject, port, arguments, addresses)

    def start_caddy(self, stack, subject, port, arguments, environment):
        """Starts Caddy in front of a subject that runs."""
        log = self.folder / "caddy.log"
        process = start(stack, [self.caddy, "run", *arguments], log, env=self.caddy_environment(port) | environment)
        wait_until(lambda: listening(port), process, log)
        return replace(subject, port=port, pids=[process.pid, *subject.pids])

    def caddy_environment(self, port):
        """The environment that docker-compose.yml gives Caddy, with the site on `port`."""
        compose = (ROOT / "docker-compose.yml").read_text()
        block = re.search(r"^  web:\n(?: {4}.*\n|\n)*? {4}environment:\n((?: {6}.*\n)+)", compose, re.MULTILINE)
        if not block:
            raise Trouble("docker-compose.yml gives its service web no environment; teach bench/harness/subjects.py what it does")
        entries = re.findall(r"""^ {6}(\w+): ["']?(.*?)["']?(?: +#.*)?$""", block[1], re.MULTILINE)
        # `${NAME:-default}` is the owner's setting, and nobody sets it here.
        given = {name: re.sub(r"\$\{\w+(?::?-([^}]*))?\}", r"\1", value) for name, value in entries}
        folders = {name: str(self.folder / "caddy-data") for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME")}
        return os.environ | given | folders | {"SITE_ADDRESS": f":{port}"}

    def caddy_config(self, port, upstream):
        """Our Caddyfile as Caddy itself understands it, with the upstream and the addresses of this machine."""
        adapt = [self.caddy, "adapt", "--adapter", "caddyfile", "--config", str(ROOT / "Caddyfile")]
        config = json.loads(run(adapt, env=self.caddy_environment(port)))
        config["admin"] = {"disabled": True, "config": {"persist": False}}
        http = config["apps"]["http"]
        # The site alone, without the ports that the cluster uses within.
        http["servers"] = {
            name: server | {"listen": [f"127.0.0.1:{port}"]}
            for name, server in http["servers"].items()
            if f":{port}" in server["listen"]
        }
        if not point_to(upstream, http["servers"]):
            raise Trouble("the Caddyfile has no reverse_proxy for {$SITE_ADDRESS}; teach bench/harness/subjects.py what it has")
        return config

    def prepare_django(self, stack, sizes):
        """Makes a database with each number of earlier views, to be copied for each run."""
        for size in sizes:
            name = self.templates["django", size] = self.server.fresh(stack, f"django_{size}")
            run(
                [str(self.python / "python"), "manage.py", "migrate", "--verbosity=0"],
                cwd=BENCH / "django",
                env=self.django_environment(name),
            )
            if size:
                self.server.sql(
                    "INSERT INTO pageviews_view (page, at) "
                    f"SELECT '/', now() - random() * interval '1 year' FROM generate_series(1, {size})",
                    name,
                )
            # What autovacuum would have done by then: COUNT(*) is faster for it.
            self.server.sql("VACUUM ANALYZE", name)

    def django_environment(self, database):
        return self.server.environment | {
            "PGDATABASE": database,
            "PYTHONPYCACHEPREFIX": str(self.folder / "pycache"),
        }

    @contextmanager
    def django(self, earlier):
        """nginx, gunicorn and Django."""
        with ExitStack() as stack:
            database = self.server.fresh(stack, "bench_django", self.templates["django", earlier])
            upstream, port = free_port(), free_port()
            log = self.folder / "gunicorn.log"
            gunicorn = start(
                stack,
                [self.python / "gunicorn", "--workers=5", f"--bind=127.0.0.1:{upstream}", "pageviews.wsgi"],
                log,
                cwd=BENCH / "django",
                env=self.django_environment(database),
            )
            # Not a view: no page has this address, so nothing is counted.
            wait_until(lambda: get(upstream, "/ready"), gunicorn, log)
            log = self.folder / "nginx.log"
            template = (BENCH / "django/nginx.conf").read_text()
            file = self.folder / "nginx.conf"
            file.write_text(template.replace("@LISTEN@", f"127.0.0.1:{port}").replace("@UPSTREAM@", f"127.0.0.1:{upstream}"))
            nginx = start(stack, [self.programs["nginx"], "-p", f"{self.folder}/", "-e", "stderr", "-c", file], log)
            wait_until(lambda: listening(port), nginx, log)
            pids, count = [nginx.pid, gunicorn.pid], "SELECT count(*) FROM pageviews_view"
            yield Subject(port, "/", pids, self.server, database, count)


def point_to(upstream, part):
    """Replaces the upstreams of every reverse proxy in a part of Caddy's configuration. Returns how many there were."""
    found = 0
    if isinstance(part, dict):
        if part.get("handler") == "reverse_proxy":
            part.pop("dynamic_upstreams", None)
            part["upstreams"] = [{"dial": upstream}]
            found = 1
        part = list(part.values())
    if isinstance(part, list):
        found += sum(point_to(upstream, child) for child in part)
    return found
