#!/usr/bin/env python3
"""make_mini.py [FOLDER]: write the embedded subset of Fashion-MNIST beside this script.

Reads the four gzip IDX files in FOLDER (default: the Debian package dataset-fashion-mnist) and keeps, in data-set order, the
first 400 training and 100 test images of each of the ten classes: 4,000 and 1,000 images, nothing drawn at random. The order of
Fashion-MNIST itself is shuffled. The gzip headers carry no name and no time, so the same input gives the same bytes.
"""
import gzip
import pathlib
import struct
import sys

folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/datasets/fashion-mnist")
here = pathlib.Path(__file__).parent


def write(name, magic, sizes, body):
    plain = struct.pack(f">{1 + len(sizes)}I", magic, *sizes) + body
    (here / name).write_bytes(gzip.compress(plain, compresslevel=9, mtime=0))


for part, per_class in (("train", 400), ("t10k", 100)):
    labels = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())[8:]
    images = gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())[16:]
    counts = [0] * 10
    kept = []
    for index, label in enumerate(labels):
        if counts[label] < per_class:
            counts[label] += 1
            kept.append(index)
    assert counts == [per_class] * 10, counts
    write(f"{part}-images-idx3-ubyte.gz", 0x803, (len(kept), 28, 28), b"".join(images[i * 784:(i + 1) * 784] for i in kept))
    write(f"{part}-labels-idx1-ubyte.gz", 0x801, (len(kept),), bytes(labels[i] for i in kept))
