"""The lists of what strangers found: each number stands in the name of a test, or here.

R is for reliability, D for data, N for the library and its users, W for the page, G for the GPU.
"""

import re
from pathlib import Path

NUMBERS = {"R": 19, "D": 18, "N": 20, "W": 25, "G": 19}
ELSEWHERE = {
    "N7": "tests/training/test_settings.py: a training leaves the settings of its caller alone",
    "N13": "tests/test_first_lines.py: what is given as a text, a length, a number",
    "N14": "tests/test_first_lines.py: natural first lines",
    "N16": "tests/test_errors.py: the library does not know the command line",
    "N20": "tests/cli/test_train.py and tests/test_docs.py: polish of what is printed and documented",
    "G3": "only on a GPU: a warning of torch that is an error under pytest",
    "G16": "only on a GPU: python -m benchmarks.gpu, the column of the bases",
    "G19": "a comment in chargen/device.py",
}


def test_every_fault_has_a_test_or_a_word():
    tests = Path(__file__).parent
    named = set()
    for path in tests.rglob("test_*.py"):
        for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8")):
            named |= {part.upper() for part in name.split("_") if re.fullmatch(r"[rdnwg]\d+", part)}
    every = {f"{kind}{number}" for kind, count in NUMBERS.items() for number in range(1, count + 1)}
    assert every - named == ELSEWHERE.keys()
    for where in ELSEWHERE.values():
        for file in re.findall(r"(?:tests|chargen)/[\w/]+\.py", where):
            assert (tests.parent / file).exists()
