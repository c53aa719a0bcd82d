"""A TensorBoard that runs, asked over HTTP: prints what it shows each time that a line comes on standard input.

Usage: watch_tensorboard.py FOLDER FAST

FAST is `true` or `false`: which loader reads the files. The line on standard input is a JSON list of conditions, each [RUN, TAG, POINTS]; POINTS is a list of
[step, value]. TensorBoard is asked until it shows exactly these points, for at most LIMIT seconds, and what it shows is printed in one line:
{"RUN/TAG": [[step, value], ...]}. A line `hparams` prints the status of each session: {RUN: STATUS}.
"""

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

# The time, in seconds, after which something must be shown. TensorBoard looks for new data once a second.
LIMIT = 60


def free_port():
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ask(port, path, body=None):
    url = f"http://127.0.0.1:{port}/data/plugin/{path}"
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"} if body else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)
    except (urllib.error.URLError, ConnectionError, TimeoutError, ValueError):
        return None


def points(port, run, tag):
    query = urllib.parse.urlencode({"run": run, "tag": tag})
    shown = ask(port, f"scalars/scalars?{query}")
    return None if shown is None else [[step, value] for _, step, value in shown]


def wait_for(port, conditions):
    end = time.monotonic() + LIMIT
    while True:
        shown = {f"{run}/{tag}": points(port, run, tag) for run, tag, _ in conditions}
        if all(shown[f"{run}/{tag}"] == wanted for run, tag, wanted in conditions) or time.monotonic() > end:
            return shown
        time.sleep(0.1)


def statuses(port):
    body = {"allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"], "startIndex": 0, "sliceSize": 100}
    groups = ask(port, "hparams/session_groups", json.dumps(body).encode())
    sessions = [session for group in (groups or {}).get("sessionGroups", []) for session in group["sessions"]]
    return {session["name"]: session.get("status", "STATUS_UNKNOWN") for session in sessions}


def main():
    folder, fast = sys.argv[1:]
    port = free_port()
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", folder, "--host", "127.0.0.1", "--port", str(port)]
    command += [f"--load_fast={fast}", "--reload_interval=1"]
    with tempfile.TemporaryFile() as talk, subprocess.Popen(command, stdout=talk, stderr=talk) as server:
        try:
            for line in sys.stdin:
                answer = statuses(port) if line.strip() == "hparams" else wait_for(port, json.loads(line))
                print(json.dumps(answer), flush=True)
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
