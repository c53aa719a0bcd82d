#!/usr/bin/env python3
"""Runs a command and prints what it and all its descendants took: `measure.py COMMAND...` prints one line of JSON, with the command's last line of output.

Memory is the peak of the sum of all processes' resident pages, looked up 50 times a second; processor time is what the kernel counted for processes that
were waited for, and at least what was last seen of each.
"""

import json
import os
import subprocess
import sys
import threading
import time

EVERY_SECONDS = 0.02
TICKS, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


def processes():
    """For each process its parent, the ticks of processor time and the bytes in memory."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        found[int(name)] = (int(fields[1]), int(fields[11]) + int(fields[12]), int(fields[21]) * PAGE)
    return found


def main(command):
    began, ticks, peak, ended = time.perf_counter(), {}, 0, threading.Event()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    own = {child.pid}

    def look():
        nonlocal peak
        while not ended.wait(EVERY_SECONDS):
            all_of = processes()
            # A daemon's parent changes, but it was seen before as a descendant.
            while new := {pid for pid, (parent, *_) in all_of.items() if parent in own and pid not in own}:
                own.update(new)
            ticks.update({pid: all_of[pid][1] for pid in own & all_of.keys()})
            peak = max(peak, sum(all_of[pid][2] for pid in own & all_of.keys()))

    looking = threading.Thread(target=look)
    looking.start()
    errors = []
    reading = threading.Thread(target=lambda: errors.append(child.stderr.read()))
    reading.start()
    output = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - began
    ended.set()
    looking.join()
    reading.join()
    if status != 0:
        sys.stderr.write(errors[0].decode(errors="replace")[-4000:])
        sys.exit(f"{command} ended with status {status}")
    counted = usage.ru_utime + usage.ru_stime
    print(json.dumps({
        "wall_seconds": wall,
        "cpu_seconds": max(counted, sum(ticks.values()) / TICKS),
        "memory_bytes": max(peak, usage.ru_maxrss * 1024),
        "output": output.decode(),
    }))  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
