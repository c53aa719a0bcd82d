"""The processes of a node that compute: copies of one that has imported PyTorch, or programs of their own."""

import os
import signal
import tempfile
import textwrap
import time
import unittest
from pathlib import Path
from unittest import mock

import test_training

from fltk.node.client import Order
from fltk.node.samples import Arrays
from fltk.node.worker import FailedError, Worker, Workers
from fltk.node.zygote import _EARLY, _REQUEST

CODE = test_training.CODE + textwrap.dedent("""
    import os, sys
    class Telling(Client):
        make_model = staticmethod(make_model)
        def measure(self, model, client, num_samples):
            if client == 1:
                os._exit(7)
            return float("torch._dynamo" in sys.modules)
""")

ORDER = Order(round=1, client=0, learning_rate=0.1, epochs=1.0, steps=None)


def parent_of(number: int) -> int:
    return int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])


class Works(unittest.TestCase):
    def setUp(self) -> None:
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        self.folder = Path(made.name)
        test_training.write(self.folder)
        (self.folder / "model.py").write_text(CODE)

    def workers(self, num: int) -> list[Worker]:
        workers = Workers(num)
        self.addCleanup(workers.end)
        for worker in workers.all:
            worker.take((self.folder / "model.py", "Telling", test_training.job(), Arrays(self.folder)))
            worker.wait()
        return workers.all

    def number(self, worker: Worker) -> int:
        assert worker._number is not None
        return worker._number

    def test_the_first_can_evaluate_before_there_is_a_compiler_and_all_train_with_one(self) -> None:
        first, second = workers = self.workers(2)
        self.assertEqual(parent_of(self.number(first)), parent_of(self.number(second)))
        layout, begun = first.ask("initialize")
        early = self.number(first)
        self.assertEqual([worker.ask("measure", begun, 0, 1, 0) for worker in workers], [0.0, 1.0])
        self.assertEqual(first.ask("evaluate", begun, 0), second.ask("evaluate", begun, 0))
        trained = [worker.ask("train", begun, ORDER) for worker in workers]
        self.assertEqual(trained[0], trained[1])
        self.assertNotEqual(self.number(first), early)
        with self.assertRaises(ProcessLookupError):
            os.kill(early, 0)
        self.assertEqual(first.ask("initialize"), (layout, begun))

    def test_one_that_ends_is_started_again(self) -> None:
        (worker,) = self.workers(1)
        begun = worker.ask("initialize")[1]
        with self.assertRaisesRegex(FailedError, "ended with exit code 7"):
            worker.ask("measure", begun, 1, 1, 0)
        self.assertEqual(worker.ask("initialize")[1], begun)

    def test_one_that_ended_while_it_was_idle_costs_no_request(self) -> None:
        workers = self.workers(2)
        begun = workers[0].ask("initialize")[1]
        before = [self.number(worker) for worker in workers]
        # The process that they are copies of takes them with it.
        os.kill(parent_of(before[0]), signal.SIGKILL)
        for number in before:
            while Path(f"/proc/{number}").exists() and " (python" in Path(f"/proc/{number}/stat").read_text():
                time.sleep(0.01)
        self.assertEqual([worker.ask("initialize")[1] for worker in workers], [begun, begun])
        self.assertFalse({self.number(worker) for worker in workers} & set(before))

    def test_one_that_hangs_on_its_way_out_is_killed(self) -> None:
        (worker,) = self.workers(1)
        worker.ask("initialize")
        number = self.number(worker)
        # A process that goes on without its connection, as one whose threads don't end.
        os.kill(number, signal.SIGSTOP)
        assert worker._connection is not None
        worker._connection.close()
        self.assertEqual(worker._stop(), -signal.SIGKILL)
        self.assertIsNotNone(worker.ask("initialize"))

    def test_the_others_go_on_where_another_cant_be_started(self) -> None:
        (worker,) = self.workers(1)
        begun = worker.ask("initialize")[1]
        kept, zygote = self.number(worker), worker._zygote
        assert zygote is not None
        # A request whose socket was lost on the way, and a question about a process that isn't a copy.
        zygote._control.sendall(_REQUEST.pack(_EARLY, 0))
        self.assertEqual(zygote.exit_code(os.getpid()), 0)
        self.assertEqual(worker.ask("initialize")[1], begun)
        self.assertEqual(self.number(worker), kept)

    def test_where_another_thread_runs_they_are_programs(self) -> None:
        # Every start of Python imports this.
        (self.folder / "sitecustomize.py").write_text("import threading, time\nthreading.Thread(target=time.sleep, args=(1e6,), daemon=True).start()\n")
        paths = os.pathsep.join([str(self.folder), os.environ.get("PYTHONPATH", "")])
        with mock.patch.dict(os.environ, {"PYTHONPATH": paths}):
            (worker,) = self.workers(1)
            begun = worker.ask("initialize")[1]
            self.assertIn(b"fltk.node.worker", Path(f"/proc/{self.number(worker)}/cmdline").read_bytes())
            self.assertEqual(worker.ask("train", begun, ORDER)[1].num_steps, 3)
            with self.assertRaisesRegex(FailedError, "ended with exit code 7"):
                worker.ask("measure", begun, 1, 1, 0)

    def test_a_python_without_pytorch_is_named(self) -> None:
        (self.folder / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\")\n")
        with mock.patch.dict(os.environ, {"PYTHONPATH": os.pathsep.join([str(self.folder), os.environ.get("PYTHONPATH", "")])}):
            (worker,) = self.workers(1)
            with self.assertRaisesRegex(FailedError, "exit code 1 before it was ready; hint: it needs PyTorch"):
                worker.ask("initialize")


if __name__ == "__main__":
    unittest.main()
