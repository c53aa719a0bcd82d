"""What a worker computes, on a folder of arrays as the program writes it."""

import json
import tempfile
import unittest
from pathlib import Path

try:
    import numpy as np
    import torch
except ModuleNotFoundError:
    # A Python of another version that runs these tests may have neither.
    raise unittest.SkipTest("workers need NumPy and PyTorch") from None

from fltk.node.client import Job, Order
from fltk.node.errors import MachineError, SettingsError
from fltk.node.samples import Arrays, Samples
from fltk.node.training import Training, _seed

CODE = """
import torch
from torch import nn
from fltk.node import Client, Evaluation

def make_model():
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))

class Noisy(Client):
    make_model = staticmethod(make_model)
    def data(self, client):
        return [(torch.randn(4, 2, 2, 2), torch.randint(3, (4,))) for _ in range(3)]
"""


def job(**more: object) -> Job:
    settings = {"type": "SGD", "learning_rate": 1.0, "momentum": 0.9}
    values = {"loss": "CrossEntropyLoss", "optimizer": settings, "batch_size": 4, "test_batch_size": 7, "drop_last": False}
    return Job(**{**values, "seed": 42, "num_clients": 2, "dataset": "made", **more})  # type: ignore[arg-type]


def write(folder: Path, augmentation: str = "none") -> None:
    draws = np.random.default_rng(1)
    for part, num in [("train", 20), ("test", 9)]:
        np.save(folder / f"{part}-inputs.npy", draws.integers(0, 256, (num, 2, 2, 2)).astype(np.uint8))
        np.save(folder / f"{part}-labels.npy", draws.integers(0, 3, num).astype(np.uint16))
    np.save(folder / "table.npy", np.arange(512, dtype=np.float32).reshape(2, 256) / 100)
    np.save(folder / "parts.npy", np.array([*range(0, 20, 2), *range(1, 20, 2)], dtype=np.uint32))
    np.save(folder / "ends.npy", np.array([10, 20], dtype=np.uint64))
    description = {"format": 1, "kind": "images", "data": "ab" * 32, "augmentation": augmentation, "window": None, "seed": 42}
    (folder / "arrays.json").write_text(json.dumps(description))


class Trains(unittest.TestCase):
    def setUp(self) -> None:
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.folder = Path(made.name)
        write(self.folder)
        (self.folder / "model.py").write_text(CODE)

    def training(self, name: str = "make_model", **more: object) -> Training:
        return Training(self.folder / "model.py", name, job(**more), Arrays(self.folder))

    def test_answers_depend_on_their_orders_alone(self) -> None:
        for name in ["make_model", "Noisy"]:
            first, second = self.training(name), self.training(name)
            layout, begun = first.initialize()
            self.assertEqual([role for _, _, role in layout], [1, 1, 2, 2, 3, 1, 1])
            orders = [Order(round=number, client=client, learning_rate=0.1, epochs=1.5, steps=None) for number, client in [(1, 0), (1, 1), (2, 0)]]
            expected = [first.train(begun, order) for order in orders]
            self.assertEqual(len({content for content, _ in expected}), 3)
            # Another worker, which has made no model before, in another order.
            self.assertEqual([second.train(begun, order) for order in reversed(orders)], expected[::-1])
            self.assertEqual(second.initialize(), (layout, begun))
            self.assertEqual(expected[0][1].num_steps, 5)

    def test_steps_and_the_proximal_term(self) -> None:
        training = self.training()
        _, begun = training.initialize()
        plain = Order(round=1, client=0, learning_rate=0.1, epochs=None, steps=7)
        content, trained = training.train(begun, plain)
        self.assertEqual((trained.num_steps, trained.num_samples), (7, 24))
        near = Order(round=1, client=0, learning_rate=0.1, epochs=None, steps=7, proximal_mu=5.0)
        distance = [
            np.abs(np.frombuffer(other[-200:], "<f4") - np.frombuffer(begun[-200:], "<f4")).sum() for other in (content, training.train(begun, near)[0])
        ]
        self.assertNotEqual(distance[0], distance[1])

    def test_evaluation_counts_by_class(self) -> None:
        training = self.training()
        _, begun = training.initialize()
        figures = training.evaluate(begun, 0)
        self.assertEqual(figures.num_samples, 9)
        assert figures.confusion is not None
        self.assertEqual(sum(map(sum, figures.confusion)), 9)
        self.assertAlmostEqual(figures.accuracy, sum(figures.confusion[label][label] for label in range(3)) / 9)

    def test_batches_have_each_sample_once_in_an_epoch_and_another_order_in_the_next(self) -> None:
        samples = Samples(self.folder, job())
        batches = samples.batches_of(1, 3)
        epochs = [[tuple(inputs.flatten(1).sum(1).tolist()) for inputs, _ in batches] for _ in range(2)]
        self.assertEqual([len(batch) for batch in epochs[0]], [4, 4, 2])
        self.assertNotEqual(epochs[0], epochs[1])
        self.assertEqual(sorted(sum(epochs[0], ())), sorted(sum(epochs[1], ())))
        self.assertEqual(len(samples.batches_of(1, 3)), 3)

    def test_seeds_are_those_of_pytorch(self) -> None:
        for seed in (0, 7, (1 << 64) - 1):
            _seed(seed)
            own = torch.randn(8)
            torch.manual_seed(seed & ((1 << 63) - 1))
            self.assertEqual(own.tolist(), torch.randn(8).tolist())

    def test_crops_and_flips_move_images_within_black(self) -> None:
        write(self.folder, "flip_and_crop")
        samples = Samples(self.folder, job())
        (moved, _), (still, _) = samples.batch("train", [3], [(1, 0, True)]), samples.batch("train", [3])
        assert samples._table is not None
        black = samples.batch("train", [3])[0] * 0 + samples._table[:, 0].reshape(1, 2, 1, 1)
        expected = still.flip(3)
        self.assertTrue((moved[:, :, 0] == expected[:, :, 1]).all() and (moved[:, :, 1] == black[:, :, 1]).all())

    def test_figures_and_data_that_cant_be_are_refused(self) -> None:
        for figures, words in [("1, 0.5, 41.0", "fraction between 0 and 1"), ("1, 0.5, 0.5, [[1, 2]]", "square")]:
            (self.folder / "model.py").write_text(
                f"{CODE}\n\nclass Wrong(Client):\n    def make_model(self):\n        return make_model()\n\n"
                f"    def evaluate(self, model, at_round):\n        return Evaluation({figures})\n\n"
                "    def data(self, client):\n        yield from super().data(client)\n"
            )
            training = self.training("Wrong")
            _, begun = training.initialize()
            with self.assertRaisesRegex(SettingsError, words):
                training.evaluate(begun, 1)
        with self.assertRaisesRegex(SettingsError, "gone through once"):
            training.train(begun, Order(round=1, client=0, learning_rate=0.1, epochs=2.0, steps=None))
        training.train(begun, Order(round=1, client=0, learning_rate=0.1, epochs=1.0, steps=None))

    def test_imports_that_fail_say_what_to_do(self) -> None:
        for code, words in [
            ("import nothing_here", "No module named 'nothing_here'; hint: `model.py` is loaded alone"),
            ("from .task import Net", "write out the package"),
        ]:
            (self.folder / "model.py").write_text(code)
            with self.assertRaisesRegex(SettingsError, words):
                self.training()

    def test_samples_of_another_client_are_refused(self) -> None:
        def opens(client: str | None) -> None:
            Training(self.folder / "model.py", "make_model", job(), Arrays(self.folder, client=client)).num_samples()

        opens(None)
        with self.assertRaisesRegex(MachineError, "are those of all clients, and here are needed those of the client `b`"):
            opens("b")
        path = self.folder / "arrays.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "client": "a"}))
        opens("a")
        for other in ["b", None]:
            with self.assertRaisesRegex(MachineError, "are those of the client `a`"):
                opens(other)

    def test_interrupted_folder_is_made_anew(self) -> None:
        made = self.folder / "made"
        made.mkdir()
        (made / "train-inputs.npy").write_bytes(b"half")
        arrays = Arrays(made, ("cp", "-r", str(self.folder / "whole"), str(made)))
        (self.folder / "whole").mkdir()
        write(self.folder / "whole")
        self.assertEqual(Training(self.folder / "model.py", "make_model", job(), arrays).num_samples(), 20)

    def test_wrong_folders_and_models_are_refused(self) -> None:
        with self.assertRaisesRegex(MachineError, "other training data"):
            Samples(self.folder, job(data=b"another"))
        with self.assertRaisesRegex(MachineError, "this run has 10"):
            Samples(self.folder, job(seed=10))
        (self.folder / "table.npy").write_bytes(b"no array")
        with self.assertRaisesRegex(MachineError, "table.npy"):
            Samples(self.folder, job())
        training = self.training()
        _, begun = training.initialize()
        (self.folder / "model.py").write_text(CODE.replace("8, 3", "8, 4"))
        with self.assertRaisesRegex(SettingsError, "another model"):
            self.training().train(begun, Order(round=1, client=0, learning_rate=0.1, epochs=1.0, steps=None))


if __name__ == "__main__":
    unittest.main()
