"""Values as HTML: markup in a text stays text, row 77 of the table of faults."""

import re

from chargen.errors import ChargenError
from chargen.web import html as page


def test_row_77_markup_is_text():
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&${alert(1)}{{value}}\x1b\n\tx"
    for html in (
        page.sheet(evil, evil),
        page.bars({evil: 0.5}, evil),
        page.weighted_text([(evil, 0.3), ("b", -0.1)]),
        page.confusion_matrix([evil, "b"], [[1, 2], [3, 4]]),
        page.note(evil),
        page.empty_sheet(evil),
        page.sheets([evil], evil, [evil]),
        page.error_note(ChargenError(evil)),
        page.details(evil),
        page.facts([(evil, evil)]),
        page.decay_curves({evil: [(1, 2), (2, 1)]}, evil),
        page.training_curves([(0, 1), (1, 2)], [(1, 2)], {evil: 1.5}, evil, (evil, evil)),
    ):
        assert not re.search(r"<(script|img)|\$\{|\{\{|\x1b", html)
    assert "\n\tx" in page.sheet(evil)
