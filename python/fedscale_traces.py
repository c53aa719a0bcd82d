"""Converts FedScale's traces of devices to the CSV files of `federated.simulation`.

    python python/fedscale_traces.py devices client_device_capacity > devices.csv
    python python/fedscale_traces.py availability client_behave_trace > availability.csv

The files are in FedScale's `benchmark/dataset/data/device_info`: pickles of a dictionary by device. `devices.csv` serves as the file of both
`devices` and `network`. See docs/virtual-time.md.

A pickle can name any function, and opening it calls that function. Only those that numbers, dictionaries and arrays need are called here; a file
that names another is refused.
"""

import argparse
import csv
import io
import pickle
import sys

# FedScale multiplies its milliseconds for a forward pass by 3 for a step, whose backward pass takes about twice as long.
STEP_FACTOR = 3.0

# The smallest rate that fltk takes.
KILOBITS_MIN = 1.0

ALLOWED = {
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
    ("builtins", "dict"),
    ("builtins", "list"),
    ("builtins", "int"),
    ("builtins", "float"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
}


class Plain(pickle.Unpickler):
    """Opens pickles of plain data."""

    def find_class(self, module, name):
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it names `{module}.{name}`, which isn't plain data")
        return super().find_class(module, name)


def load(path):
    """Returns the dictionary in a pickle, as items in ascending order of their keys."""
    with open(path, "rb") as file:
        content = Plain(file).load()
    if not isinstance(content, dict) or not content:
        raise ValueError("it isn't a dictionary by device")
    return sorted(content.items(), key=lambda item: (not str(item[0]).isdigit(), int(item[0]) if str(item[0]).isdigit() else 0, str(item[0])))


def devices(items, out):
    """Writes a row for each device: milliseconds for a step on one sample, and Mbit/s."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["ms_per_sample", "up_mbit", "down_mbit"])
    slow = 0
    for key, device in items:
        try:
            milliseconds, kilobits = float(device["computation"]), float(device["communication"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"device {key} has no numbers `computation` and `communication`: {error!r}") from error
        if not (milliseconds >= 0 and kilobits >= 0):
            raise ValueError(f"device {key} has a negative number, or none")
        slow += kilobits < KILOBITS_MIN
        rate = repr(max(kilobits, KILOBITS_MIN) / 1000)
        writer.writerow([repr(STEP_FACTOR * milliseconds), rate, rate])
    if slow:
        print(f"{slow} of {len(items)} devices have less than {KILOBITS_MIN} kbit/s, and are given that", file=sys.stderr)
    return len(items)


def availability(items, out):
    """Writes a row for each time in which a device is there, in seconds."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["device", "from_s", "to_s", "period_s"])
    left_out = 0
    for number, (key, device) in enumerate(items):
        try:
            begins, ends, period = list(device["active"]), list(device["inactive"]), float(device["finish_time"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"device {key} has no `active`, `inactive` and `finish_time`: {error!r}") from error
        if len(begins) != len(ends):
            raise ValueError(f"device {key} has {len(begins)} times in `active` and {len(ends)} in `inactive`")
        spans = [(float(begin), min(float(end), period)) for begin, end in zip(begins, ends)]
        spans = [(begin, end) for begin, end in spans if 0 <= begin < end]
        left_out += not spans
        for begin, end in spans:
            writer.writerow([number, repr(begin), repr(end), repr(period)])
    if left_out:
        print(f"{left_out} of {len(items)} devices are never there, and have no row", file=sys.stderr)
    return len(items) - left_out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["devices", "availability"], help="what the pickle holds")
    parser.add_argument("path", help="the pickle")
    arguments = parser.parse_args()
    try:
        # Nothing is written before everything is known to be right.
        table = io.StringIO()
        written = {"devices": devices, "availability": availability}[arguments.kind](load(arguments.path), table)
    except (OSError, ValueError, TypeError, KeyError, OverflowError, EOFError, AttributeError, ImportError, IndexError, RecursionError, pickle.UnpicklingError) as error:
        sys.exit(f"{arguments.path} can't be converted: {error}")
    sys.stdout.write(table.getvalue())
    print(f"{written} devices", file=sys.stderr)


if __name__ == "__main__":
    main()
