"""Properties of the characters of a text, by hand."""

from chargen.inspection.properties import properties


def test_properties_of_a_text_by_hand():
    text = 'def f(a):\n    """Say "it".\n    """\n    return [a, \'x\']  # a NOTE\n'
    found = properties(text)

    def where(name):
        return "".join(
            character if value else "." for character, value in zip(text, found[name], strict=True)
        )

    assert where("inside a comment").strip(".") == "# a NOTE"
    assert where("inside a string").split(".\n")[0].strip(".").startswith('"""Say "it"')
    assert "'x" in where("inside a string")
    assert "'x'" not in where("inside a string")
    assert where("in a word of capitals").strip(".") == "OTE"
    assert where("in a capitalised word").replace(".", "") == "SayNOTE"
    assert where("inside brackets").replace(".", "") == "(a[a, 'x'"
    assert found["indentation of the line"][text.index("return")] == 4
    assert found["in the indentation"].sum() == 12
    assert found["distance since newline"][text.index("return")] == 5
    assert found["position in the line"][text.index("\n")] == 1
    assert found["position in the word"][text.index("turn")] == 3
    assert where("digit").strip(".") == ""
    assert properties("“A,” he said.\n")["inside quotes"].tolist() == [1] * 3 + [0] * 11
    assert properties("don't (it's)")["inside a string"].sum() == 0
    assert properties("a(\n\nb")["inside brackets"].tolist() == [0, 1, 1, 1, 0]
    assert properties("x = 1; // no\ny = 2;\nz();\n")["inside a comment"].sum() == len("// no")
    assert all(len(values) == 0 for values in properties("").values())
