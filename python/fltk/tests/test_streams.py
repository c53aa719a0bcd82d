"""The random streams, against the golden values of the program's own tests (`crates/fltk-core/src/seed.rs`)."""

import unittest

from fltk.node.streams import Stream


class Streams(unittest.TestCase):
    def test_draws_are_those_of_the_program(self) -> None:
        for purpose, indices, expected in [
            ("init", [], 3_645_707_246_292_565_061),
            ("work", [3, 1], 2_434_622_756_888_003_618),
            ("shuffle", [3, 1, 0], 72_802_331_610_508_333),
            ("augment", [3, 1, 0, 59_999], 16_280_170_801_954_555_644),
            ("torch", [3, 1, 0], 16_270_188_428_961_161_830),
        ]:
            self.assertEqual(Stream(42, purpose, indices).next_u64(), expected, purpose)

    def test_shuffles_are_permutations(self) -> None:
        for length in [0, 1, 2, 13, 100, 5000]:
            values = list(range(length))
            Stream(42, "shuffle", [3, 1, length]).shuffle(values)
            self.assertEqual(sorted(values), list(range(length)))
            self.assertTrue(length < 3 or values != list(range(length)))


if __name__ == "__main__":
    unittest.main()
