"""Which ids may follow each other, so that their bytes are valid UTF-8."""

from __future__ import annotations

import numpy as np


class Guide:
    """Which ids may follow, so that their bytes are UTF-8: a table over eight states.

    State 0 is between characters. In 1, 2 and 3 so many bytes of a character are still to come, and
    4 to 7 come after the first bytes E0, ED, F0 and F4, which restrict the second (Unicode, table
    3-7: no overlong forms, no surrogates, nothing beyond U+10FFFF).
    """

    def __init__(self, pieces: list[bytes]) -> None:
        first = {0xE0: 4, 0xED: 5, 0xF0: 6, 0xF4: 7}
        step: dict[tuple[int, int], int] = {(0, byte): 0 for byte in range(0x80)}
        step |= {(0, byte): 1 for byte in range(0xC2, 0xE0)}
        step |= {(0, byte): first.get(byte, 2) for byte in range(0xE0, 0xF0)}
        step |= {(0, byte): first.get(byte, 3) for byte in range(0xF0, 0xF5)}
        for state, low, high, then in (
            (1, 0x80, 0xBF, 0),
            (2, 0x80, 0xBF, 1),
            (3, 0x80, 0xBF, 2),
            (4, 0xA0, 0xBF, 1),
            (5, 0x80, 0x9F, 1),
            (6, 0x90, 0xBF, 2),
            (7, 0x80, 0x8F, 2),
        ):
            step |= {(state, byte): then for byte in range(low, high + 1)}

        def run(state: int, piece: bytes) -> int:
            for byte in piece:
                state = step.get((state, byte), -1)
            return state if piece or state == 0 else -1  # a document ends between characters

        self.after = np.array([[run(state, piece) for piece in pieces] for state in range(8)], np.int8)
        self.penalty = np.where(self.after < 0, np.float32(-np.inf), np.float32(0))  # (8, V)
