"""Valid UTF-8 as a finite automaton over the pieces of a vocabulary."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Transitions = npt.NDArray[np.int8]  # (8, V)


def transitions(pieces: list[bytes]) -> Transitions:
    """Returns the state after each piece from each of eight states, -1 where it is not UTF-8: (8, V).

    State 0 is between two characters. In the states 1, 2 and 3, that many bytes of a character are
    missing. The states 4 to 7 follow the first bytes E0, ED, F0 and F4, which restrict the second one:
    no overlong forms, no surrogates, nothing above U+10FFFF (The Unicode Standard, table 3-7).

    The pieces "a", C3 and A9, the last two being the bytes of "é", lead from state 0 to 0, 1 and -1,
    and from state 1 to -1, -1 and 0.
    """
    first = {0xE0: 4, 0xED: 5, 0xF0: 6, 0xF4: 7}
    step: dict[tuple[int, int], int] = {(0, byte): 0 for byte in range(0x80)}
    step |= {(0, byte): 1 for byte in range(0xC2, 0xE0)}
    step |= {(0, byte): first.get(byte, 2) for byte in range(0xE0, 0xF0)}
    step |= {(0, byte): first.get(byte, 3) for byte in range(0xF0, 0xF5)}
    for state, low, high, after in (
        (1, 0x80, 0xBF, 0),
        (2, 0x80, 0xBF, 1),
        (3, 0x80, 0xBF, 2),
        (4, 0xA0, 0xBF, 1),
        (5, 0x80, 0x9F, 1),
        (6, 0x90, 0xBF, 2),
        (7, 0x80, 0x8F, 2),
    ):
        step |= {(state, byte): after for byte in range(low, high + 1)}

    def run(state: int, piece: bytes) -> int:
        for byte in piece:
            state = step.get((state, byte), -1)
        return state if piece or state == 0 else -1  # a document ends between characters

    return np.array([[run(state, piece) for piece in pieces] for state in range(8)], np.int8)
