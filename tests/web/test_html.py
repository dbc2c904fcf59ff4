"""Values as HTML: markup in a text stays text, row 77 of the table of faults."""

import re

from chargen.errors import ChargenError
from chargen.evaluation.mistakes import Mistake
from chargen.web import charts, judging
from chargen.web import html as page


def test_row_77_markup_is_text():
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&${alert(1)}{{value}}\x1b\n\tx"
    for html in (
        page.sheet(evil, evil),
        page.bars({evil: 0.5}, evil),
        page.weighted_text([(evil, 0.3), ("b", -0.1)]),
        charts.confusion_matrix([evil, "b"], [[1, 2], [3, 4]]),
        page.note(evil),
        page.empty_sheet(evil),
        page.sheets([evil], evil, [evil]),
        page.error_note(ChargenError(evil)),
        page.legend([("warm", evil)]),
        page.verdict(evil, evil),
        judging.sections([], [Mistake(evil, evil, evil, 0.9)]),
        page.line(evil),
        page.end_of(evil, 9) and page.note(page.end_of(evil, 99)),
        page.sheets([evil, "b"], evil, [evil, evil], chosen=1),
        page.details(evil),
        page.facts([(evil, evil)]),
        charts.decay_curves({evil: [(1, 2), (2, 1)]}, evil),
        charts.training_curves([(0, 1), (1, 2)], [(1, 2)], {evil: 1.5}, evil, (evil, evil)),
    ):
        assert not re.search(r"<(script|img)|\$\{|\{\{|\x1b", html)
    assert "\n\tx" in page.sheet(evil)


def test_w6_a_long_name_is_whole_on_hover_and_for_a_screen_reader():
    name = "Internationale Beziehungen"
    html = page.bars({name: 0.5, "\n": 0.2}, "Classes", clickable=False, names=True)
    assert f'<span title="{name}">{name}</span>' in html
    assert '<span title="↵ newline">↵ newline</span>' in html
    assert "<button" not in html


def test_w7_a_legend_shows_its_colours():
    legend = page.legend([("cool", "speaks for de"), ("warm", "speaks against it")])
    assert '<span class="swatch cool"></span>speaks for de' in legend
    assert '<span class="swatch warm"></span>speaks against it' in legend
