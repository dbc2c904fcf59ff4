"""Curves and matrices as HTML: within their limits, marked, and with a table beside them."""

import re

from chargen.web import charts

NAMES = ("training text", "text it has never seen")


def test_w21_the_axis_ends_at_the_limit_of_the_values():
    scores = [(0.0, 62.0), (1.0, 88.0), (2.0, 99.0)]
    drawn = charts.training_curves((), scores, {"guessing": 6.0}, "% correct", NAMES, highest=100)
    labels = [float(label) for label in re.findall(r'text-anchor="end">([\d.]+)</text>', drawn)]
    assert max(labels) == 100
    assert len(labels) > 2


def test_w21_a_second_network_is_marked_where_it_begins():
    losses = [(float(second), 3.0 - second / 10) for second in range(20)]
    mark = [(10.0, "a second network begins")]
    drawn = charts.training_curves(losses, [(5.0, 2.6)], {}, "bits", NAMES, marks=mark)
    assert drawn.count("a second network begins") == 2  # in the picture and in the table
    assert '<line class="mark"' in drawn


def test_w24_the_curve_has_a_table_for_screen_readers():
    losses = [(0.5, 3.0), (1.5, 2.0), (2.5, 1.5)]
    drawn = charts.training_curves(losses, [(2.0, 2.25)], {"xz": 2.5}, "bits", NAMES)
    table = drawn[drawn.index("<table>") :]
    assert re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", table) == ["seconds", *NAMES, "2", "2", "2.25"]
    assert "xz: 2.5" in table
    only_losses = charts.training_curves(losses, (), {}, "bits", NAMES)
    assert only_losses.count('scope="row"') == 3


def test_w24_the_curves_of_the_gradients_have_one_too():
    curve = [(distance, 10.0**-distance) for distance in range(1, 12)]
    drawn = charts.decay_curves({"rnn": curve, "lstm": curve[:3]}, "the gradient")
    table = drawn[drawn.index("<table>") :]
    assert "<caption>the gradient</caption>" in table
    assert '<th scope="row">10</th><td>1e-10</td><td></td>' in table
    assert table.count('scope="row"') == 5


def test_w24_a_matrix_has_headers_that_are_not_empty():
    drawn = charts.confusion_matrix(["a", "b"], [[1, 2], [3, 4]])
    assert "<th></th>" not in drawn
    assert drawn.count('scope="col"') == drawn.count('scope="row"') == 2
