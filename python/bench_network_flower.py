#!/usr/bin/env python3
"""The work of `cargo xtask bench network` with Flower's deployment engine: a SuperLink and two SuperNodes on this machine, without TLS.

    bench_network_flower.py prepare DATA FOLDER            writes what its processes read, before anything is measured
    bench_network_flower.py run ROUNDS SPLIT FOLDER        starts all of it, and prints one line of JSON

A SuperNode acts for one client at a time, and starts a process for every message. So a message orders half of a cohort, and its answer is the mean of that half: two
messages a round, and the same training. It is as kind to Flower as it can be: images are read from a file that is mapped into memory, which has been decompressed and
scaled; one thread for each client; no strategy beyond the mean; no telemetry and no look for updates; and whatever can be asked more often is asked 20 times a second
(the server for answers, the SuperExec for tasks). SuperNodes ask every three seconds when nothing is left to do; that can't be set.
"""

import json
import os
import sys
import time

NODES = 2
# The interval of those questions whose interval can be chosen.
POLL_SECONDS = 0.05
START_SECONDS_MAX, RUN_SECONDS_MAX = 60, 300
APP = """
[project]
name = "bench"
version = "1.0.0"
license = "MIT"
dependencies = []
[tool.flwr.app]
publisher = "fltk"
[tool.flwr.app.components]
serverapp = "bench_network_flower_app:server"
clientapp = "bench_network_flower_app:client"
[tool.flwr.app.config]
"""


def prepare(data, folder):
    import torch
    from bench_engine import load

    torch.save({"train": load(data, "train"), "test": load(data, "test")}, os.path.join(folder, "images.pt"))


def free_ports(number):
    import socket

    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def run(rounds, split_file, folder):
    import shutil
    import signal
    import statistics
    import subprocess
    import tempfile

    began, own = time.time(), os.path.dirname(os.path.abspath(__file__))
    binaries, (port, *node_ports) = os.path.dirname(sys.executable), free_ports(1 + NODES)
    with tempfile.TemporaryDirectory() as scratch:
        app, home, result = (os.path.join(scratch, name) for name in ("app", "home", "result.json"))
        os.makedirs(app)
        os.makedirs(home)
        shutil.copy(os.path.join(own, "bench_network_flower_app.py"), app)
        with open(os.path.join(app, "pyproject.toml"), "w") as file:
            file.write(APP)
        with open(os.path.join(home, "config.toml"), "w") as file:
            file.write(f'[superlink]\ndefault = "here"\n[superlink.here]\naddress = "127.0.0.1:{port}"\ninsecure = true\n')
        environment = dict(
            os.environ,
            PATH=binaries + os.pathsep + os.environ["PATH"],
            PYTHONPATH=own,
            FLWR_HOME=home,
            FLWR_TELEMETRY_ENABLED="0",
            FLWR_DISABLE_UPDATE_CHECK="1",
            FLWR_SUPEREXEC_TASK_POLL_INTERVAL=str(POLL_SECONDS),
            BENCH_SPLIT=split_file,
            BENCH_FOLDER=folder,
            BENCH_ROUNDS=rounds,
            BENCH_RESULT=result,
        )
        log_path = os.path.join(scratch, "log")
        started = []

        def start(program, *arguments):
            with open(log_path, "a") as log:
                command = [os.path.join(binaries, program), *arguments]
                # A group of its own, with the processes that it starts.
                process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
            started.append(process)
            return process

        try:
            start("flower-superlink", "--insecure", "--port", str(port), "--disable-runtime-dependency-installation")
            for node_port in node_ports:
                start("flower-supernode", "--insecure", "--superlink", f"127.0.0.1:{port}", "--port", str(node_port))
            # The SuperLink has no sign that it is ready.
            until = time.time() + START_SECONDS_MAX
            while not listens(port):
                assert time.time() < until, "the SuperLink doesn't start"
                time.sleep(POLL_SECONDS)
            submitted = start("flwr", "run", app)
            assert submitted.wait(START_SECONDS_MAX) == 0, "`flwr run` failed"
            until = time.time() + RUN_SECONDS_MAX
            while not os.path.exists(result):
                assert time.time() < until, "the run doesn't end"
                time.sleep(POLL_SECONDS)
            with open(result) as file:
                taken = json.load(file)
        except BaseException:
            with open(log_path) as log:
                sys.stderr.write(log.read()[-4000:])
            raise
        finally:
            for process in started:
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                process.wait()
        ends = taken["ends"]
        print(json.dumps({
            "round_seconds": statistics.median(later - earlier for earlier, later in zip(ends, ends[1:])),
            "to_last_round_seconds": ends[-1] - began,
            "accuracy": taken["accuracy"],
        }))  # fmt: skip


def listens(port):
    import socket

    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


if __name__ == "__main__":
    {"prepare": prepare, "run": run}[sys.argv[1]](*sys.argv[2:])
