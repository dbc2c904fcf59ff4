"""What the tests of the exported page share: small models of every kind, and the page open."""

import pytest

from chargen import TextGenerator

TEXT = (
    "The sea is “calm” tonight, naïve and blue.\nA tide is full; the moon lies fair — </script> <!--\n"
)


@pytest.fixture(scope="session")
def make():
    """Returns a generator that has seen a few steps of a text; the same one for the same arguments."""
    made = {}

    def make(cell="lstm", tokenizer="char", split_on=None, layers=2):
        key = cell, tokenizer, split_on, layers
        if key not in made:
            writer = TextGenerator.new(
                TEXT * 30,
                tokenizer=tokenizer,
                vocab_size=330,
                split_on=split_on,
                cell=cell,
                num_layers=layers,
                hidden_size=20,
                embedding_size=8,
            )
            for _ in writer.train(TEXT * 30, steps=30, batch=4, window=12):
                pass
            made[key] = writer
        return made[key]

    return make


@pytest.fixture
def visit(browser, tmp_path):
    """Opens the page of a generator from the disk; at the end, nothing may have gone wrong in it."""
    faults, contexts = [], []

    def visit(writer, width=1180, height=900, title="poet", **options):
        path = tmp_path / "poet.html"
        path.write_text(writer.to_html(title), encoding="utf-8")
        options = {"locale": "en-GB", "reduced_motion": "reduce", **options}
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: faults.append(m.text))
        page.on("pageerror", lambda error: faults.append(str(error)))

        def inspect(request):
            if request.url != path.as_uri() and not request.url.startswith("blob:"):
                faults.append(f"asked for {request.url}")

        page.on("request", inspect)
        page.goto(path.as_uri())
        page.wait_for_selector("body[data-ready]", timeout=20_000)
        return page

    visit.faults = faults
    yield visit
    for context in contexts:
        context.close()
    assert not faults
