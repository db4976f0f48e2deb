"""Processes: started so that they end with the run, waited for, and looked at through /proc."""

import http.client
import os
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from . import Trouble

TICK = os.sysconf("SC_CLK_TCK")


def run(arguments, *, timeout=120, **options):
    """Runs a program to its end and returns what it printed."""
    name = Path(arguments[0]).name
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=timeout, **options)
    except OSError as error:
        raise Trouble(f"cannot run {name}: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise Trouble(f"{name} did not end within {timeout} s") from error
    if done.returncode != 0:
        raise Trouble(f"{name} failed: {last_line(done.stderr or done.stdout)}")
    return done.stdout


def start(stack: ExitStack, arguments, log: Path, *, stdout=subprocess.DEVNULL, end=signal.SIGTERM, **options):
    """Starts a program that ends when `stack` does. What it says on stderr goes to `log`."""
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            stdout=stderr if stdout is None else stdout,
            stderr=stderr,
            # Ctrl-C is for us: we end the rest in order.
            start_new_session=True,
            **options,
        )
    stack.callback(stop, process, end)
    return process


def stop(process, end):
    """Ends a process and, should it not want to, its whole group."""
    if process.poll() is None:
        process.send_signal(end)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port():
    """A port of the loopback address where nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def get(port, path):
    """The status and body of one request, or None when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def wait_until(ready, process, log: Path, within=30):
    """Waits until `ready()`, as long as the process lives."""
    name = Path(process.args[0]).name
    give_up = time.monotonic() + within
    while not ready():
        if process.poll() is not None:
            raise Trouble(f"{name} ended with {process.returncode}: {last_line(log.read_text())}")
        if time.monotonic() > give_up:
            raise Trouble(f"{name} is not ready after {within} s: {last_line(log.read_text())}")
        time.sleep(0.02)


def listening(port):
    """Whether something accepts connections there."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def last_line(text):
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it gave no reason"


def cpu_seconds(pid):
    """CPU time of a process and everything it started, also what has ended since."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        # Fields 14 to 17 and 20 of proc(5): utime, stime, cutime, cstime, num_threads.
        own, ended, threads = sum(map(int, stat[11:13])) / TICK, sum(map(int, stat[13:15])) / TICK, int(stat[17])
        if threads == 1:
            # In nanoseconds: a thousand database connections round a thousand ticks down otherwise.
            own = int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return own + ended + sum(map(cpu_seconds, children))


def peak_rss_mib(pid):
    """The most memory that a process ever had resident."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise Trouble(f"the kernel does not say how much memory process {pid} used")


def settle(pids, within=40):
    """Waits until these processes have nothing left to do: a client that hung up may have left work behind."""
    give_up = time.monotonic() + within
    before = sum(map(cpu_seconds, pids))
    while time.monotonic() < give_up:
        time.sleep(0.1)
        after = sum(map(cpu_seconds, pids))
        # Below 3 % of one core; ticks of 10 ms make a busy thread look idle for one window at most.
        if after - before < 0.003:
            return
        before = after
