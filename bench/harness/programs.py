"""The programs that the benchmark needs: found, installed or missed; built; and their versions."""

import importlib.util
import json
import os
import re
import shutil
import sys
import tomllib
from contextlib import ExitStack, contextmanager
from pathlib import Path

from . import BENCH, ROOT, Trouble
from .processes import run

# Debian's package of each.
PACKAGES = {
    "wrk": "wrk",
    "nginx": "nginx",
    "initdb": "postgresql",
    "postgres": "postgresql",
    "psql": "postgresql",
    "pgbench": "postgresql",
    "redis-server": "redis-server",
    "redis-cli": "redis-tools",
}
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").absolute()
POLICY = Path("/usr/sbin/policy-rc.d")


def find():
    """The path of each program, after installing what is missing if that is possible."""
    missing = {package for name, package in PACKAGES.items() if not where(name)}
    # Debian's python3 comes without it.
    if not importlib.util.find_spec("ensurepip"):
        missing.add("python3-venv")
    if missing:
        install(sorted(missing))
    programs = {name: where(name) for name in [*PACKAGES, "cargo", "rustc"]}
    for name, path in programs.items():
        if not path:
            raise Trouble(f"there is no {name}; install {PACKAGES.get(name, 'Rust, see https://rustup.rs')}")
    return programs


def where(name):
    """The path of a program. Debian keeps PostgreSQL's out of PATH, and root's PATH may lack sbin."""
    servers = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name), reverse=True)
    return shutil.which(
        name, path=os.pathsep.join([*map(str, servers), os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    )


def install(packages):
    """Installs Debian packages, without starting the services in them."""
    wanted = " ".join(packages)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Trouble(f"install these first (Debian's names): {wanted}")
    print(f"installing {wanted}", file=sys.stderr)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with services_held():
        run(["apt-get", "update"], timeout=300, env=environment)
        run(["apt-get", "install", "-y", "--no-install-recommends", *packages], timeout=600, env=environment)


@contextmanager
def services_held():
    """invoke-rc.d asks this file, if there is one, whether a service may start."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def caddy(folder: Path):
    """Caddy's path, or None and why not. 2.11 from its image, as the cluster has it; else PATH's from 2.9 on."""
    binary = folder / "caddy"
    if shutil.which("docker"):
        with ExitStack() as stack:
            try:
                container = run(["docker", "create", "caddy:2.11"]).strip().splitlines()[-1]
                stack.callback(run, ["docker", "rm", container])
                run(["docker", "cp", f"{container}:/usr/bin/caddy", str(binary)])
                return str(binary), None
            except Trouble:
                pass
    path = shutil.which("caddy")
    if not path:
        return None, "there is neither a Docker image caddy:2.11 nor a caddy on PATH"
    found = run([path, "version"]).strip()
    number = re.search(r"(\d+)\.(\d+)", found)
    if not number or tuple(map(int, number.groups())) < (2, 9):
        return None, f"there is no Docker image caddy:2.11, and {path} is {found}, older than 2.9"
    return path, None


def build(programs):
    """Builds pageviews as it ships, and its peers with the same compiler, settings and libraries."""
    check_locks()
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())
    # A profile holds for the package at the root of its own workspace only.
    profile = [
        part
        for key, value in manifest.get("profile", {}).get("release", {}).items()
        for part in ("--config", f"profile.release.{key}={json.dumps(value)}")
    ]
    environment = os.environ | {"CARGO_TARGET_DIR": str(TARGET)}
    cargo = [programs["cargo"], "build", "--release", "--locked"]
    print("building pageviews and its peers", file=sys.stderr)
    run([*cargo, "--no-default-features"], timeout=1800, cwd=ROOT, env=environment)
    run([*cargo, *profile], timeout=1800, cwd=BENCH / "peers", env=environment)
    return {"pageviews": TARGET / "release/pageviews", "peers": TARGET / "release/peers"}


def check_locks():
    """Peers with other versions of the libraries that we use would be other peers."""
    ours, theirs = (
        {
            (package["name"], package["version"])
            for package in tomllib.loads(path.read_text())["package"]
            if package["name"] != "peers"
        }
        for path in (ROOT / "Cargo.lock", BENCH / "peers/Cargo.lock")
    )
    # Libraries that we do not use, such as the client of Redis, are theirs alone.
    names = {name for name, _ in ours}
    if any(name in names for name, _ in theirs - ours):
        raise Trouble("bench/peers/Cargo.lock differs from Cargo.lock; copy it there and run `cargo metadata` in bench/peers")


def python_environment():
    """The bin folder of a virtual environment with what Django needs."""
    folder = TARGET / "bench/venv"
    if not (folder / "bin/pip").exists():
        print("installing Django", file=sys.stderr)
        run([sys.executable, "-m", "venv", "--clear", str(folder)])
    run([str(folder / "bin/pip"), "install", "--quiet", "--requirement", str(BENCH / "django/requirements.txt")], timeout=300)
    return folder / "bin"


def versions(programs, caddy_path, environment):
    """What was measured, for the report."""
    pinned = [line.replace("==", " ") for line in (BENCH / "django/requirements.txt").read_text().split()]
    # Both say it in their own way: nginx on stderr, wrk with exit code 1.
    shell = ["sh", "-c", '"$1" -v 2>&1 | head -n 1', "sh"]
    found = [
        " ".join(run([programs["rustc"], "--version"]).split()[:2]),
        "PostgreSQL " + run([programs["postgres"], "--version"]).split()[2],
        "Redis " + re.search(r"v=(\S+)", run([programs["redis-server"], "--version"]))[1],
        " ".join(run([*shell, programs["wrk"]]).split()[:2]),
    ]
    if caddy_path:
        found += [
            "Caddy " + run([caddy_path, "version"]).split()[0],
            run([*shell, programs["nginx"]]).split()[-1],
            run([str(environment / "python"), "--version"]).strip(),
            *[name for name in pinned if name.split()[0] in ("Django", "gunicorn", "psycopg")],
        ]
    return found


def commit():
    """The commit that was measured, if this is a checkout."""
    try:
        head = run(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]).strip()
        # The results of the run before do not count as a change.
        changed = run(["git", "-C", str(ROOT), "status", "--porcelain", "--", ".", ":!bench/RESULTS.md"]).strip()
    except Trouble:
        return []
    return [f"commit {head}{' with changes on top' if changed else ''}"]
