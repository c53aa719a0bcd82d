"""What a strategy of one's own is asked, and what of its answers is refused: the process's own logic, without the program."""

from __future__ import annotations

import os
import py_compile
import socket
import tempfile
import threading
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

try:
    import numpy as np
except ModuleNotFoundError:
    # A Python of another version that runs these tests may not have it.
    raise unittest.SkipTest("the process of a strategy needs NumPy") from None

from fltk.strategy import Model, Update, frames, mean_changes, moved, weighted_mean, worker

MACHINE = ("OSError", "MemoryError", "KeyError")

ROLES = {"w": "parameter", "mean": "buffer", "n": "counter"}

CODE = """
import numpy as np
from fltk.strategy import Strategy, weighted_mean

class Mean(Strategy):
    def initial_state(self, model):
        return {"seen": 0, "w": model["w"]}
    def client_terms(self, client, terms, state):
        return {"proximal_mu": 0.5, "steps": 3} if client else {}
    def combine(self, model, updates, state):
        print("a line of the code's own")
        state["seen"] = state["seen"] + 1
        return weighted_mean(model, updates)

class First(Mean):
    def combine(self, model, updates, state):
        return next(updates).model

class Wrong(Mean):
    def combine(self, model, updates, state):
        raise ValueError("not today")
"""


def model(w: list[float], mean: float = 0.0, n: int = 0) -> Model:
    return Model({"w": np.array(w, np.float32), "mean": np.array(mean, np.float32), "n": np.array(n, np.int64)}, ROLES)


def update(client: int, num_samples: int, num_steps: int, of: Model) -> Update:
    return Update(client, num_samples, num_steps, 0.1, of)


class Talk:
    """The program's side of a conversation with the process, which is a thread here."""

    def __init__(self, code: str, name: str) -> None:
        self._ours, theirs = socket.socketpair()
        self._ours.settimeout(30)
        folder = tempfile.TemporaryDirectory()
        self.file = Path(folder.name) / "mine.py"
        self.file.write_text(code)
        self._folder = folder

        def read() -> Any:
            return frames.read(theirs.recv_into)

        def write(*message: Any) -> None:
            frames.write(theirs.sendall, *message)

        self._thread = threading.Thread(target=worker.serve, args=(read, write), daemon=True)
        self._thread.start()
        self.send({"kind": "hello", "version": 1, "file": str(self.file), "name": name, "seed": 42, "num_clients": 4})

    def send(self, header: dict[str, Any], arrays: Any = ()) -> None:
        frames.write(self._ours.sendall, header, arrays)

    def answer(self) -> Any:
        return frames.read(self._ours.recv_into)

    def begin(self, number: int, state: dict[str, Any] | None = None) -> Any:
        clients = [{"client": client, "learning_rate": 0.1, "proximal_mu": 0.0, "epochs": 1.0} for client in (0, 3)]
        header = {"kind": "round", "round": number, "is_first": state is None, "roles": list(ROLES.values()), "clients": clients}
        of_state = [(f"s.{name}", values) for name, values in (state or {}).items()]
        self.send(header, [(f"m.{name}", values) for name, values in model([1.0, 2.0]).items()] + of_state)
        return self.answer()

    def end(self, *updates: Update) -> Any:
        for one in updates:
            numbers = {"client": one.client, "num_samples": one.num_samples, "num_steps": one.num_steps, "learning_rate": one.learning_rate}
            self.send({"kind": "update", **numbers}, [(f"m.{name}", values) for name, values in one.model.items()])
        self.send({"kind": "end"})
        return self.answer()

    def close(self) -> None:
        self._ours.close()
        self._thread.join(30)
        self._folder.cleanup()
        assert not self._thread.is_alive()


class Conversations(unittest.TestCase):
    def talk(self, name: str, code: str = CODE) -> Talk:
        talk = Talk(code, name)
        self.addCleanup(talk.close)
        return talk

    def test_the_file_itself_runs_and_not_what_was_compiled_of_another(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        file = Path(folder.name) / "mine.py"
        loaded = []
        for name in ("One", "Two"):
            file.write_text(f"from fltk.strategy import Strategy\nclass Mine(Strategy):\n    kind = '{name}'\n")
            os.utime(file, (1_000_000_000, 1_000_000_000))
            py_compile.compile(str(file), doraise=True)
            loaded.append(worker._load(file, "Mine").kind)  # type: ignore[attr-defined]
        self.assertEqual(loaded, ["One", "Two"])

    def test_what_may_be_the_fault_of_the_machine_is_said_to_be(self) -> None:
        code = CODE + "\n".join(f"class {kind}s(Mean):\n    def combine(self, model, updates, state):\n        raise {kind}('no')\n" for kind in MACHINE)
        for kind in MACHINE:
            talk = self.talk(f"{kind}s", code)
            talk.answer()
            talk.begin(1)
            header, _ = talk.end(update(0, 1, 1, model([1.0, 2.0])))
            self.assertEqual((header["kind"], header["is_of_machine"]), ("failed", kind != "KeyError"))

    def test_without_updates_the_model_stays_as_it_is(self) -> None:
        given = model([1.0, 2.0], mean=3.0, n=4)
        for name, values in weighted_mean(given, []).items():
            np.testing.assert_array_equal(values, given[name])
        _, others = mean_changes(given, [])
        self.assertEqual((float(others["mean"]), int(others["n"])), (3.0, 4))

    def test_rounds_are_answered_and_state_comes_back(self) -> None:
        talk = self.talk("Mean")
        self.assertEqual(talk.answer()[0]["kind"], "ready")
        header, _ = talk.begin(1)
        self.assertEqual(header["terms"][0], {"learning_rate": 0.1, "proximal_mu": 0.0, "epochs": 1.0})
        self.assertEqual(header["terms"][1], {"learning_rate": 0.1, "proximal_mu": 0.5, "steps": 3})
        updates = [update(0, 1, 1, model([1.0, -2.0], 4.0, 7)), update(3, 3, 1, model([5.0, 2.0], 8.0, 3))]
        header, arrays = talk.end(*updates)
        self.assertEqual((header["kind"], header["num_state"], list(arrays)), ("combined", 2, ["w", "mean", "n", "seen"]))
        self.assertEqual([values.tolist() for values in arrays.values()][:3], [[1.0, 2.0], 7.0, 7])
        # The same round again, from a state that was kept.
        talk.begin(2, {"seen": np.array(5.0), "w": np.zeros(2)})
        header, arrays = talk.end(*updates)
        self.assertEqual(float(arrays["seen"]), 6.0)

    def test_updates_that_nobody_looks_at_are_passed_over(self) -> None:
        talk = self.talk("First")
        talk.answer()
        for number in (1, 2):
            talk.begin(number, {})
            _, arrays = talk.end(update(0, 1, 1, model([3.0, 4.0])), update(3, 1, 1, model([5.0, 6.0])))
            self.assertEqual(arrays["w"].tolist(), [3.0, 4.0])

    def test_errors_name_their_place_and_the_next_round_goes_on(self) -> None:
        talk = self.talk("Wrong")
        talk.answer()
        for number in (1, 2):
            self.assertEqual(talk.begin(number, {})[0]["kind"], "terms")
            header, _ = talk.end(update(0, 1, 1, model([3.0, 4.0])))
            line = CODE.split("\n").index('        raise ValueError("not today")') + 1
            self.assertEqual(header["kind"], "failed")
            self.assertEqual(header["reason"], f"ValueError: not today (`mine.py`, line {line}, in `combine`)")

    def test_code_that_cannot_be_loaded_is_told(self) -> None:
        for code, name, expected in [
            ("x = 1", "Mine", "`mine.py` has no `Mine`"),
            ("Mine = 1", "Mine", "`Mine` of `mine.py` is no subclass of `fltk.strategy.Strategy`"),
            ("import nothing_of_this_name", "Mine", "No module named 'nothing_of_this_name' (`mine.py`, line 1"),
            ("def f(:", "Mine", "SyntaxError"),
            ("raise SystemExit(3)", "Mine", "SystemExit: 3"),
        ]:
            header, _ = self.talk(name, code).answer()
            self.assertEqual(header["kind"], "failed")
            self.assertIn(expected, header["reason"])

    def test_answers_that_cannot_be_used_are_named(self) -> None:
        for of, expected in [
            ("return None", "`combine` returned nothing, and a model is a dict of arrays"),
            ("return {'w': model['w']}", "`combine` returned no `mean`"),
            ("return {**model, 'v': 1}", "`combine` returned `v`, which the model doesn't have"),
            ("return {**model, 'w': model['w'][:1]}", "`w` of what `combine` returned has shape 1 instead of 2"),
            ("return {**model, 'w': [1, 2]}", "`w` of what `combine` returned is int64, and not float32"),
            ("return {**model, 'n': 1.0}", "`n` of what `combine` returned is float64, and not int64"),
            ("return {**model, 'w': [np.nan, 1.0]}", "`w` of what `combine` returned has a number that isn't finite"),
            ("return {**model, 'w': [1e39, 1.0]}", "`w` of what `combine` returned has a number that isn't finite"),
            ("state['x'] = 'y'; return model", "`x` of the state is <U1, and not an array of numbers"),
            ("state['x'] = 2**53 + 1; return model", "`x` of the state has a whole number beyond 2^53"),
            ("state[3] = 1; return model", "3 can't be the name of an array of the state"),
            ("model['w'][0] = 1; return model", "ValueError: assignment destination is read-only"),
        ]:
            code = f"import numpy as np\nfrom fltk.strategy import Strategy\nclass Own(Strategy):\n  def combine(self, model, updates, state):\n    {of}\n"
            talk = self.talk("Own", code)
            talk.answer()
            talk.begin(1)
            header, _ = talk.end(update(0, 1, 1, model([3.0, 4.0])))
            self.assertEqual(header["kind"], "failed", of)
            self.assertIn(expected, header["reason"])

    def test_terms_that_cannot_be_are_named(self) -> None:
        for of, expected in [
            ("None", "`client_terms` of client 0 returned nothing"),
            ("{'momentum': 1}", "`client_terms` of client 0 has `momentum`, and terms are learning_rate"),
            ("{'proximal_mu': 'x'}", "`proximal_mu` of the terms of client 0 is 'x', and no finite number"),
            ("{'learning_rate': float('nan')}", "`learning_rate` of the terms of client 0 is nan"),
            ("{'learning_rate': 0}", "`learning_rate` of the terms of client 0 can't be 0"),
            ("{'steps': 1.5}", "`steps` of the terms of client 0 can't be 1.5"),
            ("{'steps': 1, 'epochs': 1}", "have both"),
        ]:
            talk = self.talk(
                "Own", f"from fltk.strategy import Strategy\nclass Own(Strategy):\n  def client_terms(self, client, terms, state):\n    return {of}\n"
            )
            talk.answer()
            header, _ = talk.begin(1)
            self.assertEqual(header["kind"], "failed", of)
            self.assertIn(expected, header["reason"])

    def test_another_version_is_refused(self) -> None:
        answers: list[Any] = []
        worker.serve(lambda: ({"kind": "hello", "version": 2, "arrays": []}, {}), lambda *message: answers.append(message))
        self.assertIn("the program speaks version 2", answers[0][0]["reason"])


class Sums(unittest.TestCase):
    def updates(self) -> Iterator[Update]:
        yield update(0, 1, 6, model([1.0, -2.0], 4.0, 7))
        yield update(3, 3, 2, model([5.0, 2.0], 8.0, 3))

    def test_means_are_those_of_the_program(self) -> None:
        for weights, expected in [("samples", [4.0, 1.0]), ("uniform", [3.0, 0.0]), ("steps", [2.0, -1.0])]:
            found = weighted_mean(model([0.0, 0.0]), self.updates(), weights)
            self.assertEqual(found["w"].tolist(), expected, weights)
            self.assertEqual((found["w"].dtype, float(found["mean"]), int(found["n"])), (np.float32, 7.0, 7))
        # -0 stays, and without any weight everything does.
        self.assertTrue(np.signbit(weighted_mean(model([0.0]), [update(0, 1, 1, model([-0.0]))])["w"][0]))
        self.assertEqual(weighted_mean(model([0.5]), [update(0, 1, 0, model([9.0]))], "steps")["w"].tolist(), [0.5])

    def test_changes_move_a_model(self) -> None:
        start = model([1.0, 1.0], 9.0, 1)
        changes, others = mean_changes(start, self.updates())
        self.assertEqual((changes["w"].tolist(), changes["w"].dtype), ([3.0, 0.0], np.float64))
        following = moved(start, {"w": 0.5 * changes["w"]}, others)
        self.assertEqual([values.tolist() for values in following.values()], [[2.5, 1.0], 7.0, 7])
        with self.assertRaisesRegex(ValueError, "not samples, uniform or steps"):
            weighted_mean(start, self.updates(), "size")


if __name__ == "__main__":
    unittest.main()
