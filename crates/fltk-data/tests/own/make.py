"""Makes data in every format with the tools that people use, and says what a reader has to find in it: `make.py FOLDER`.

`expected.json` has for each case the block of an experiment file, and for each part the shape, the SHA-256 of the samples (bytes, or little-endian 32-bit floats), labels and
clients, as torchvision, Pillow, NumPy and pyarrow read the same files.
"""

import gzip
import hashlib
import io
import json
import os
import struct
import sys
import zipfile

import numpy
import pyarrow
import pyarrow.parquet
from PIL import Image
from torchvision import datasets

FOLDER = sys.argv[1]
CASES = []
DRAW = numpy.random.default_rng(7)


def path(*parts):
    full = os.path.join(FOLDER, *parts)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    return full


def part(samples, labels, clients=None, tolerance=0):
    """Describes a part; `samples` are NCHW bytes or NF floats. With a tolerance, the samples themselves are written, to be compared one by one."""
    samples = numpy.ascontiguousarray(samples)
    samples = samples if samples.dtype == numpy.uint8 else samples.astype("<f4")
    found = {
        "shape": list(samples.shape[1:]),
        "sha256": hashlib.sha256(samples.tobytes()).hexdigest(),
        "labels": [int(label) for label in labels],
        "clients": clients,
        "tolerance": tolerance,
    }
    if tolerance:
        found["samples"] = samples.reshape(-1).tolist()
    return found


def case(name, block, classes, train, test):
    CASES.append({"name": name, "dataset": block, "classes": [str(name) for name in classes], "train": train, "test": test})


def idx(array):
    kinds = {"uint8": 8, "int32": 12, "float32": 13}
    head = struct.pack(">BBBB", 0, 0, kinds[array.dtype.name], array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write(name, content):
    with open(name, "wb") as file:
        file.write(content)


def images(count, *shape):
    return DRAW.integers(0, 256, (count, *shape), dtype=numpy.uint8)


def make_idx():
    # EMNIST: one zip of all splits, images transposed, letters from 1.
    splits = {split: (images(40, 28, 28), DRAW.permutation(numpy.arange(40) % 26 + 1), images(30, 28, 28), numpy.arange(30) % 26 + 1) for split in ["letters", "mnist"]}
    archive = zipfile.ZipFile(path("emnist", "gzip.zip"), "w")
    for split, (train, train_labels, test, test_labels) in splits.items():
        files = {"train-images-idx3": train, "train-labels-idx1": train_labels, "test-images-idx3": test, "test-labels-idx1": test_labels}
        for name, array in files.items():
            content = gzip.compress(idx(array.astype("uint8")))
            archive.writestr(f"gzip/emnist-{split}-{name}-ubyte.gz", content)
            write(path("emnist", "root", "EMNIST", "raw", f"emnist-{split}-{name}-ubyte"), gzip.decompress(content))
    archive.close()
    sets = [datasets.EMNIST(path("emnist", "root"), split="letters", train=train) for train in (True, False)]
    parts = [part(numpy.transpose(read.data.numpy(), (0, 2, 1))[:, None], read.targets.numpy() - 1) for read in sets]
    for place in ["gzip.zip", "root/EMNIST/raw"]:
        case(f"EMNIST's letters, {place}", {"path": f"emnist/{place}", "format": "idx", "split": "letters"}, range(1, 27), *parts)

    # QMNIST: labels of eight columns of 32-bit numbers.
    for what in ["train", "test"]:
        labels = DRAW.integers(0, 2**31 - 1, (50, 8), dtype="int32")
        labels[:, 0] = numpy.arange(50) % 10
        write(path("qmnist", "QMNIST", "raw", f"qmnist-{what}-images-idx3-ubyte"), idx(images(50, 28, 28)))
        write(path("qmnist", "QMNIST", "raw", f"qmnist-{what}-labels-idx2-int"), idx(labels))
    sets = [datasets.QMNIST(path("qmnist"), what=what) for what in ("train", "test")]
    parts = [part(read.data.numpy()[:, None], read.targets.numpy()[:, 0]) for read in sets]
    case("QMNIST", {"path": "qmnist/QMNIST/raw"}, range(10), *parts)

    # KMNIST: the names of MNIST. As plain files and gzip.
    for what in ["train", "t10k"]:
        write(path("kmnist", "KMNIST", "raw", f"{what}-images-idx3-ubyte"), idx(images(20, 28, 28)))
        write(path("kmnist", "KMNIST", "raw", f"{what}-labels-idx1-ubyte"), idx((numpy.arange(20) % 10).astype("uint8")))
    sets = [datasets.KMNIST(path("kmnist"), train=train) for train in (True, False)]
    parts = [part(read.data.numpy()[:, None], read.targets.numpy()) for read in sets]
    case("KMNIST", {"path": "kmnist/KMNIST/raw"}, range(10), *parts)


def folder(name, size, mode, suffix, **options):
    for what, classes, count in [("train", ["a", "a-b", "c"], 5), ("test", ["a", "c"], 2)]:
        for label in classes:
            for number in range(count):
                shape = (*size, 3) if mode == "RGB" else size
                # Smooth, as photographs are: JPEG of noise says nothing.
                pixels = numpy.asarray(Image.fromarray(images(1, *((4, 4, 3) if mode == "RGB" else (4, 4)))[0], mode).resize(size[::-1], Image.Resampling.BICUBIC))
                assert pixels.shape == shape
                Image.fromarray(pixels, mode).save(path(name, what, label, "sub" if number % 2 else "", f"{number}{suffix}"), **options)


def image_folder(name, prepare, tolerance=0):
    sets = [datasets.ImageFolder(path(name, what), loader=lambda file: prepare(Image.open(file))) for what in ("train", "test")]
    classes = sets[0].classes
    parts = []
    for read in sets:
        pixels = numpy.stack([numpy.atleast_3d(numpy.asarray(image)).transpose(2, 0, 1) for image, _ in read])
        parts.append(part(pixels, [classes.index(read.classes[label]) for _, label in read], tolerance=tolerance))
    return classes, parts


def make_images():
    folder("png-grey", (12, 10), "L", ".png")
    classes, parts = image_folder("png-grey", lambda image: image)
    case("grey PNG", {"path": "png-grey"}, classes, *parts)
    folder("png-rgb", (12, 10), "RGB", ".PNG")
    classes, parts = image_folder("png-rgb", lambda image: image)
    case("color PNG", {"path": "png-rgb", "format": "images"}, classes, *parts)
    classes, parts = image_folder("png-rgb", lambda image: image.convert("L"))
    case("color PNG as grey", {"path": "png-rgb", "format": "images", "channels": "grey"}, classes, *parts)
    classes, parts = image_folder("png-grey", lambda image: image.convert("RGB"))
    case("grey PNG as color", {"path": "png-grey", "format": "images", "channels": "rgb"}, classes, *parts)
    for size in [[6, 5], [20, 31]]:
        classes, parts = image_folder("png-rgb", lambda image: image.resize(size[::-1], Image.Resampling.BILINEAR), tolerance=1)
        case(f"resized to {size}", {"path": "png-rgb", "format": "images", "size": size}, classes, *parts)
    folder("jpeg", (24, 16), "RGB", ".jpg", quality=95)
    classes, parts = image_folder("jpeg", lambda image: image.convert("RGB"), tolerance=8)
    case("JPEG", {"path": "jpeg"}, classes, *parts)
    # A zip whose folder has another name, of images with transparency and of palettes.
    with zipfile.ZipFile(path("photos.zip"), "w") as archive:
        for label in ["x", "y"]:
            for number in range(4):
                buffer = io.BytesIO()
                image = Image.fromarray(images(1, 4, 4, 4)[0], "RGBA") if number % 2 else Image.fromarray(images(1, 4, 4, 3)[0], "RGB").quantize(16)
                image.save(buffer, "PNG")
                archive.writestr(f"my-photos/{label}/{number}.png", buffer.getvalue())
        archive.writestr("__MACOSX/my-photos/x/._0.png", b"left behind")


def make_npz():
    train, train_labels, test, test_labels = images(20, 8, 8), numpy.arange(20) % 3, images(10, 8, 8), numpy.arange(10) % 3
    numpy.savez(path("keras.npz"), x_train=train, y_train=train_labels, x_test=test, y_test=test_labels)
    case("Keras's arrays", {"path": "keras.npz"}, range(3), part(train[:, None], train_labels), part(test[:, None], test_labels))
    colors, more = images(20, 8, 6, 3), images(10, 8, 6, 3)
    numpy.savez_compressed(path("medmnist.npz"), train_images=colors, train_labels=train_labels[:, None].astype("uint8"), val_images=more[:2], val_labels=test_labels[:2, None], test_images=more, test_labels=test_labels[:, None])
    last = lambda array: array.transpose(0, 3, 1, 2)
    case("MedMNIST's arrays", {"path": "medmnist.npz", "format": "npz"}, range(3), part(last(colors), train_labels), part(last(more), test_labels))
    for what, array, labels in [("train", train, train_labels), ("test", test, test_labels)]:
        numpy.savez(path("k49", f"k49-{what}-imgs.npz"), array)
        numpy.savez(path("k49", f"k49-{what}-labels.npz"), labels.astype("uint8"))
    case("Kuzushiji-49's files", {"path": "k49"}, range(3), part(train[:, None], train_labels), part(test[:, None], test_labels))
    vectors = DRAW.normal(size=(20, 5))
    numpy.savez(path("vectors.npz"), features_train=numpy.asfortranarray(vectors), target_train=train_labels.astype("float64"), features_test=vectors[:10].astype("float32"), target_test=test_labels)
    case("vectors in Fortran's order", {"path": "vectors.npz", "format": "npz", "normalize": False}, range(3), part(vectors, train_labels), part(vectors[:10], test_labels))
    scaled = numpy.stack([train] * 1) / 255
    numpy.savez(path("scaled.npz"), x_train=scaled[0], y_train=train_labels, x_test=test / numpy.float32(255), y_test=test_labels)
    case("pixels up to 1", {"path": "scaled.npz"}, range(3), part(train[:, None], train_labels), part(test[:, None], test_labels))


def make_csv():
    rows = DRAW.normal(size=(30, 4)).round(6)
    names = numpy.array(["setosa", "virginica", "versicolor"])[numpy.arange(30) % 3]
    classes = sorted(set(names))
    ids = [classes.index(name) for name in names]
    header = "a,b,species,c,d\n"
    line = lambda row, name: f"{row[0]},{row[1]},{name},{row[2]},{row[3]}\n"
    write(path("iris", "train.csv"), (header + "".join(map(line, rows[:20], names[:20]))).encode())
    write(path("iris", "test.csv.gz"), gzip.compress((header + "".join(map(line, rows[20:], names[20:]))).encode()))
    block = {"path": "iris", "format": "csv", "label": "species", "normalize": False}
    case("CSV with a header", block, classes, part(rows[:20], ids[:20]), part(rows[20:], ids[20:]))
    pixels = images(12, 3, 4)
    labels = numpy.arange(12) % 2 + 3
    for what, rows_of in [("train", slice(0, 8)), ("test", slice(8, 12))]:
        numpy.savetxt(path("pixels", f"{what}.csv"), numpy.hstack([pixels[rows_of].reshape(-1, 12), labels[rows_of, None]]), fmt="%d", delimiter=";")
    block = {"path": "pixels", "format": "csv", "delimiter": "semicolon", "shape": [3, 4]}
    case("CSV of pixels without a header", block, [3, 4], part(pixels[:8, None], labels[:8] - 3), part(pixels[8:, None], labels[8:] - 3))


def encoded(array):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": "image.png"}


def make_parquet():
    train, test = images(20, 9, 7), images(10, 9, 7)
    labels, test_labels = numpy.arange(20) % 3, numpy.arange(10) % 3
    # The schema and the metadata that `datasets` writes.
    features = {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog", "eel", "fox"], "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    schema = pyarrow.schema([("image", pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])), ("label", pyarrow.int64())], metadata=metadata)
    for name, array, of in [("train-00000-of-00002", train[:15], labels[:15]), ("train-00001-of-00002", train[15:], labels[15:]), ("test-00000-of-00001", test, test_labels)]:
        table = pyarrow.table({"image": [encoded(image) for image in array], "label": of}, schema=schema)
        pyarrow.parquet.write_table(table, path("hub", "data", f"{name}.parquet"), row_group_size=4)
    case("the hub's images", {"path": "hub"}, ["cat", "dog", "eel", "fox"], part(train[:, None], labels), part(test[:, None], test_labels))
    lists = DRAW.normal(size=(30, 6)).astype("float32")
    table = pyarrow.table({"vector": list(lists), "y": numpy.arange(30) % 2, "who": [f"user {number % 4}" for number in range(30)]})
    pyarrow.parquet.write_table(table.slice(0, 20), path("lists", "train.parquet"), compression="gzip")
    pyarrow.parquet.write_table(table.slice(20), path("lists", "test.parquet"), compression="none", use_dictionary=False, data_page_version="2.0")
    block = {"path": "lists", "format": "parquet", "client": "who", "normalize": False}
    clients = [number % 4 for number in range(30)]
    case("lists of numbers", block, range(2), part(lists[:20], numpy.arange(20) % 2, clients[:20]), part(lists[20:], numpy.arange(10) % 2, clients[20:]))
    columns = DRAW.normal(size=(30, 3))
    table = pyarrow.table({"a": columns[:, 0], "b": columns[:, 1].astype("float32"), "c": numpy.arange(30, dtype="uint8"), "class": [f"c{number % 3}" for number in range(30)]})
    columns[:, 2] = numpy.arange(30)
    pyarrow.parquet.write_table(table.slice(0, 20), path("columns", "train.parquet"))
    pyarrow.parquet.write_table(table.slice(20), path("columns", "test.parquet"))
    case("columns of numbers", {"path": "columns", "format": "parquet", "normalize": False}, ["c0", "c1", "c2"], part(columns[:20], numpy.arange(20) % 3), part(columns[20:], numpy.arange(20, 30) % 3))


def leaf(name, samples, labels, users):
    """Writes a file as LEAF's scripts do: `preprocess/split_data.py` dumps such a dict."""
    data = {"users": [], "num_samples": [], "user_data": {}}
    for user in dict.fromkeys(users):
        own = [index for index, other in enumerate(users) if other == user]
        data["users"].append(user)
        data["num_samples"].append(len(own))
        data["user_data"][user] = {"x": [samples[index] for index in own], "y": [labels[index] for index in own]}
    with open(name, "w") as file:
        json.dump(data, file)


def make_leaf():
    pixels = images(24, 28, 28)
    vectors = (pixels.reshape(24, -1) / 255).tolist()
    users = [f"f{index // 6}_{index // 6:02}" for index in range(24)]
    labels = [index % 5 for index in range(24)]
    leaf(path("femnist", "train", "all_data_0_niid_0_keep_0_train_9.json"), vectors[:12], labels[:12], users[:12])
    leaf(path("femnist", "train", "all_data_1_niid_0_keep_0_train_9.json"), vectors[12:18], labels[12:18], users[12:18])
    leaf(path("femnist", "test", "all_data_0_niid_0_keep_0_test_9.json"), vectors[18:] + vectors[:2], labels[18:] + labels[:2], users[18:] + users[:2])
    clients = [index // 6 for index in range(24)]
    train = part(pixels[:18, None], labels[:18], clients[:18])
    test = part(numpy.concatenate([pixels[18:], pixels[:2]])[:, None], labels[18:] + labels[:2], clients[18:] + clients[:2])
    case("LEAF's FEMNIST", {"path": "femnist", "format": "leaf", "shape": [28, 28]}, range(5), train, test)
    train, test = part(numpy.array(vectors[:18]), labels[:18], clients[:18]), part(numpy.array(vectors[18:] + vectors[:2]), labels[18:] + labels[:2], clients[18:] + clients[:2])
    case("LEAF's vectors", {"path": "femnist", "format": "leaf", "normalize": False}, range(5), train, test)
    text = "what a piece of work is a man, how noble in reason, how infinite in faculty, in form and moving how express and admirable"
    leaf(path("shakespeare", "train", "all_data_train_9.json"), [text[at : at + 80] for at in range(20)], [text[at + 80] for at in range(20)], ["HAMLET"] * 15 + ["LEAR"] * 5)
    leaf(path("shakespeare", "test", "all_data_test_9.json"), [text[at : at + 80] for at in range(20, 24)], [text[at + 80] for at in range(20, 24)], ["LEAR"] * 4)


make_idx()
make_images()
make_npz()
make_csv()
make_parquet()
make_leaf()
with open(path("expected.json"), "w") as file:
    json.dump(CASES, file)
