"""The exported page: one file from the disk that asks for nothing and writes what Python writes."""

import re

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
expect = playwright.expect
pytestmark = pytest.mark.slow

NO_WORKER = "delete window.Worker; window.Worker = undefined;"


def write(page, prompt, seed, length=2000, top_k="", temperature=0.8):
    """Writes with these settings; returns the text."""
    page.fill("#prompt", prompt)
    page.fill("#seed", str(seed))
    page.fill("#top-k", str(top_k))
    for name, value in (("length", length), ("temperature", temperature)):
        page.locator(f"#{name}").evaluate(
            "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }",
            value,
        )
    page.click("#write")
    expect(page.locator("#status")).to_contain_text(f"seed {seed}", timeout=30_000)
    expect(page.locator("#write")).to_be_visible()
    return page.locator("#sheet").text_content()


@pytest.mark.parametrize(("cell", "tokenizer"), [("lstm", "char"), ("gru", "byte"), ("rnn", "bpe")])
def test_it_writes_what_python_writes(visit, make, cell, tokenizer):
    writer = make(cell, tokenizer)
    page = visit(writer)
    prefix = writer.read("The sea", weights="int8")
    assert write(page, "The sea", 7) == "The sea" + prefix.generate(2000, seed=7)
    text = write(page, "The sea", 8, 500, 5, 1.1)
    assert text == "The sea" + prefix.generate(500, seed=8, top_k=5, temperature=1.1)
    page.fill("#seed", "9")
    page.click("#continue")
    expect(page.locator("#status")).to_contain_text("seed 9", timeout=30_000)
    more = writer.read(text, weights="int8").generate(500, seed=9, top_k=5, temperature=1.1)
    assert page.locator("#sheet").text_content() == text + more


def test_it_writes_without_a_worker(visit, make, browser, monkeypatch):
    new_context = browser.new_context

    def without_worker(**options):
        context = new_context(**options)
        context.add_init_script(NO_WORKER)
        return context

    monkeypatch.setattr(browser, "new_context", without_worker)
    page = visit(make())
    assert page.evaluate("typeof Worker") == "undefined"
    assert write(page, "A ", 1) == "A " + make().read("A ", weights="int8").generate(2000, seed=1)


def test_a_new_seed_comes_with_each_text_until_one_is_typed(visit, make):
    page = visit(make())
    seeds = set()
    for _ in range(2):
        before = page.input_value("#seed")
        page.click("#write")
        expect(page.locator("#seed")).not_to_have_value(before)
        seed = page.input_value("#seed")
        expect(page.locator("#status")).to_contain_text(f"seed {seed}", timeout=30_000)
        expect(page.locator("#write")).to_be_visible()
        seeds.add(seed)
    assert len(seeds) == 2
    page.fill("#seed", "x")
    assert not page.is_checked("#new-seed")
    page.click("#write")
    expect(page.locator("#status")).to_have_text("A seed is a whole number, 0 or more.")


def test_a_text_can_be_stopped(visit, make):
    page = visit(make(), title="slow")
    page.evaluate("document.getElementById('length').max = 100000000")
    page.locator("#length").evaluate("(slider) => { slider.value = 100000000; }")
    page.click("#write")
    page.click("#stop")
    expect(page.locator("#status")).to_contain_text("Stopped after")
    expect(page.locator("#write")).to_be_visible()


def test_a_document_ends(visit, make):
    writer = make(split_on="line")
    page = visit(writer)
    text = write(page, "", 3, 5000)
    assert text == writer.read("", weights="int8").generate(5000, seed=3)
    if len(text) < 5000:
        expect(page.locator("#status")).to_contain_text("here the text ends")


def test_unknown_characters_are_named_in_one_sentence(visit, make):
    page = visit(make())
    text = write(page, "Thé 日", 1, 100)
    assert text.startswith("The ")
    sentence = page.locator("#status").text_content()
    assert sentence.startswith("The model does not know “é” (read as “e”), “日” (left out).")


def test_a_bar_is_chosen_by_pointer_and_by_key(visit, make):
    page = visit(make())
    before = page.locator("#sheet").text_content()
    expected = list(make().read(before, weights="int8").expected())
    page.locator("#bars button").first.click()
    expect(page.locator("#sheet")).to_have_text(before + expected[0], use_inner_text=False)
    page.wait_for_timeout(200)
    page.locator("#bars button").nth(1).focus()
    page.keyboard.press("Enter")
    page.wait_for_timeout(200)
    assert len(page.locator("#sheet").text_content()) == len(before) + 2
    assert page.evaluate("document.activeElement.closest('#bars') !== null")


def test_a_text_is_coloured_by_surprise_while_it_is_typed(visit, make):
    page = visit(make())
    page.fill("#judged", "")
    page.locator("#judged").press_sequentially("The sea")
    expect(page.locator("#heat span")).to_have_count(7)
    expect(page.locator("#bits")).to_have_text(re.compile(r"^\d+\.\d\d bits per character$"))
    page.keyboard.press("ArrowLeft")
    expect(page.locator("#spot")).to_contain_text("“e”: ")
    page.locator("#heat span").first.hover(force=True)
    expect(page.locator("#spot")).to_contain_text("“T”: ")


@pytest.mark.parametrize(("cell", "rows"), [("lstm", 8), ("gru", 5), ("rnn", 2)])
def test_the_microscope_steps_plays_and_tells_numbers(visit, make, cell, rows):
    page = visit(make(cell))
    page.fill("#specimen", "The sea")
    expect(page.locator("#strip span")).to_have_count(7)
    expect(page.locator("#tiles canvas")).to_have_count(rows)
    expect(page.locator("#strip .current")).to_have_text("T")
    page.click("#step")
    expect(page.locator("#strip .current")).to_have_text("h")
    page.click("#back")
    expect(page.locator("#strip .current")).to_have_text("T")
    page.select_option("#layer", "0")
    page.focus("#tiles")
    page.keyboard.press("ArrowRight")
    state = make(cell).read("T", weights="int8")._state.layers[0].h
    number = float(state[1]) / 4096
    expect(page.locator("#unit")).to_contain_text("unit 2: H before 0.00")
    expect(page.locator("#unit")).to_contain_text(f"H after {number:.2f}".replace("-0.00", "-0.00"))
    page.click("#play")
    expect(page.locator("#strip .current")).to_have_text("a", timeout=20_000)
    expect(page.locator("#play")).to_have_text("Play")


def test_it_speaks_spanish(visit, make):
    page = visit(make(), locale="es-MX")
    assert page.evaluate("document.documentElement.lang") == "es"
    expect(page.locator("#write")).to_have_text("Escribir")
    page.fill("#prompt", "日")
    page.click("#write")
    expect(page.locator("#status")).to_contain_text("El modelo no conoce «日» (omitido).")


def test_both_languages_say_the_same_things(visit, make):
    page = visit(make())
    keys = page.evaluate("Object.values(STRINGS).map((texts) => Object.keys(texts))")
    assert keys[0] == keys[1]
    values = page.evaluate(
        "Object.values(STRINGS).map((texts) =>"
        " Object.values(texts).map((text) => (text.match(/{\\w+}/g) || []).sort().join()))"
    )
    assert values[0] == values[1]


def test_the_card_tells_how_the_model_came_to_be(visit, make):
    page = visit(make("gru"))
    card = page.locator("#card").text_content()
    assert "a GRU of 2 × 20" in card
    assert re.search(r"\d\.\d\d bits per character on text that it has not read", card)
    assert "--cell gru --hidden 20 --steps 30" in card


@pytest.mark.parametrize("width", [1180, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_objects_to_nothing(visit, make, scheme, width):
    page = visit(make(), width=width, color_scheme=scheme)
    page.click("summary")
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    response = axe.Axe().run(page).response
    violations = [
        (rule["id"], [node["html"][:120] for node in rule["nodes"]]) for rule in response["violations"]
    ]
    assert violations == []


def test_the_policy_forbids_every_request(visit, make):
    page = visit(make())
    outcome = page.evaluate("fetch('https://example.org/').then(() => 'sent', () => 'refused')")
    assert outcome == "refused"
    assert visit.faults
    visit.faults.clear()  # what the browser says about the refusal
