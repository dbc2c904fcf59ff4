"""The page in a real browser: what a visitor does, sees, and what is sent where.

Needs Playwright and Chromium (Debian's package); without them these tests skip themselves. Each
leaves pictures in tests/web/screenshots, two of which `make pictures` puts into docs/.
"""

import re
import time

import pytest

from chargen import Text, TextGenerator

expect = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed").expect
pytestmark = pytest.mark.slow
MARKUP = "<b>x</b> ${alert(1)} {{value}} <img src=x onerror=alert(1)>"


def test_a_text_is_seen_to_be_written(visit, written, picture, seconds_until):
    page = visit()
    page.locator("#prompt textarea").fill("The ")
    page.locator("#write").click()
    seconds_until(lambda: len(written(page)) > 100)
    expect(page.locator("#told")).to_contain_text("500 characters, seed")
    assert written(page).startswith("The ")
    assert len(written(page)) == 504
    with page.expect_download() as download:
        page.locator("#download").click()
    assert download.value.path().read_text() == written(page)
    picture(page, "write")


def test_escape_stops_in_mid_stream_and_continue_goes_on(visit, written, seconds_until):
    page = visit(model="slow")
    page.get_by_label("number input for Length").fill("5000")
    page.locator("#prompt textarea").fill("<b>")
    page.locator("#prompt textarea").press("Control+Enter")
    seconds_until(lambda: len(written(page)) > 300)
    page.keyboard.press("Escape")
    expect(page.locator("#told")).to_contain_text("Stopped after")
    stopped = written(page)
    assert 300 < len(stopped) < 5000
    page.get_by_label("number input for Length").fill("100")
    page.locator("#continue").click()
    expect(page.locator("#told")).to_contain_text("100 characters")
    assert written(page).startswith(stopped)
    assert len(written(page)) == len(stopped) + 100


def test_the_bars_move_with_the_temperature(visit, picture, seconds_until):
    page = visit()
    page.locator("#prompt textarea").fill("A ")
    expect(page.locator("#bars p")).to_contain_text("after “A ”")

    def likeliest():
        return float(page.locator("#bars .number").first.text_content().rstrip(" %"))

    before = likeliest()
    handle = page.locator("#temperature input[type=range]")
    handle.focus()
    for _ in range(20):
        handle.press("ArrowRight")
    seconds_until(lambda: likeliest() < before - 3)
    picture(page, "bars")


def test_a_chosen_character_is_where_it_goes_on_from(visit, written):
    page = visit()
    page.locator("#prompt textarea").fill("A ")
    expect(page.locator("#bars p")).to_contain_text("after “A ”")
    second = page.locator("#bars button").nth(1)
    chosen = second.get_attribute("data-text")
    second.click()
    expect(page.locator("#told")).to_contain_text("Chosen by you")
    assert written(page) == "A " + chosen
    expect(page.locator("#bars p")).to_contain_text("after “A " + chosen)
    page.locator("#continue").click()
    expect(page.locator("#told")).to_contain_text("500 characters")
    assert written(page).startswith("A " + chosen)


def test_the_same_random_numbers_at_five_temperatures(visit, picture):
    page = visit()
    page.locator("#prompt textarea").fill("The module ")
    page.locator("#compare").click()
    expect(page.locator("#written .sheet")).to_have_count(5)
    texts = page.locator("#written .sheet").all_text_contents()
    assert all(text.startswith("The module ") for text in texts)
    assert len(set(texts)) == 5
    picture(page, "five-temperatures")


def test_the_same_seed_writes_the_same_on_the_page_and_in_the_terminal(visit, call, written):
    page = visit()
    page.get_by_text("Seed, several texts, top-k, top-p, min-p").click()
    page.locator("#seed input").fill("7")
    page.locator("#prompt textarea").fill("The ")
    page.locator("#write").click()
    expect(page.locator("#told")).to_contain_text("500 characters, seed 7")
    status, out, _ = call("sample", "--prompt", "The ", "--seed", 7)
    assert status == 0
    assert out == written(page) + "\n"


def test_training_from_an_uploaded_text_to_writing_with_the_result(
    visit, tmp_path, tab, written, picture, seconds_until
):
    page = visit()
    tab(page, "Train")
    page.get_by_label("Upload a file").check()
    path = tmp_path / "manual & <b>.txt"
    path.write_text("".join(Text.open(["python-docs"]).pieces())[:300_000])
    page.locator("#upload input[type=file]").set_input_files(path)
    expect(page.locator("#found")).to_contain_text("300,000")
    expect(page.locator("#name input, #name textarea").first).to_have_value("manual - b")
    picture(page, "train-before")
    page.locator("#minutes input").fill("0.3")
    page.locator("#train").click()
    expect(page.locator("#status")).to_contain_text("is training", timeout=60_000)
    expect(page.locator("#curve svg")).to_be_visible(timeout=30_000)
    first = page.locator("#curve polyline").first.get_attribute("points")
    seconds_until(lambda: page.locator("#curve polyline").first.get_attribute("points") != first)

    other = visit()  # whoever comes now finds it
    tab(other, "Train")
    expect(other.locator("#status")).to_contain_text("is training")
    visit.reload(page)
    expect(page.locator("#write")).to_be_visible(timeout=20_000)
    tab(page, "Train")
    expect(page.locator("#status")).to_contain_text("manual - b")
    expect(page.locator("#curve svg")).to_be_visible()
    expect(page.locator("#train")).to_be_disabled()

    expect(page.locator("#status")).to_contain_text("has finished training", timeout=60_000)
    expect(page.locator("#sample .sheet")).to_be_visible()
    picture(page, "train")
    page.locator("#use").click()
    expect(page.locator("#write")).to_be_visible()
    expect(page.locator("#model input")).to_have_value("manual - b")
    page.locator("#prompt textarea").fill("The ")
    page.locator("#write").click()
    expect(page.locator("#told")).to_contain_text("500 characters, seed")
    assert {"a", "and", "in", "is", "of", "the", "to"} & set(written(page).split())


def test_a_sentence_is_sorted_and_coloured(visit, tab, picture):
    page = visit()
    tab(page, "Classify")
    expect(page.locator("#no-classifier")).to_contain_text("no classifier yet")
    page.locator("#classifier-minutes input").fill("0.4")
    page.locator("#train-classifier").click()
    expect(page.locator("#classifier-status")).to_contain_text("has finished training", timeout=90_000)
    expect(page.locator("#confusion td").first).to_be_visible()
    page.locator("#to-judge textarea").press_sequentially("Wo ist denn hier der Bahnhof?", delay=5)
    expect(page.locator("#judged li").first).to_contain_text("de")
    expect(page.locator("#coloured .coloured")).to_have_text("Wo ist denn hier der Bahnhof?")
    held_out = page.locator("#held-out")
    held_out.get_by_text("How it does by length").click()
    expect(held_out.locator("td").first).to_have_text("2")
    page.locator("#at-least input").fill("100")
    expect(page.locator("#judged .verdict")).to_have_text("unknown no class has 100 % or more")
    expect(page.locator("#judged li").first).to_contain_text("de")
    picture(page, "unknown")
    page.locator("#at-least input").fill("101")
    expect(page.locator("#judged .bad")).to_contain_text("must be a number from 0 to 100; it is 101")
    page.locator("#at-least input").fill("0")
    expect(page.locator("#judged li").first).to_contain_text("de")
    expect(page.locator("#judged .verdict")).to_have_count(0)
    page.locator("#how-it-does > button").click()
    expect(page.locator("#measured .facts")).to_contain_text("held-out texts 304", timeout=30_000)
    measured = page.locator("#measured")
    measured.get_by_text("How it does by length").click()
    expect(measured.locator("td")).to_have_text(held_out.locator("td").all_text_contents())
    picture(page, "classify")
    page.set_viewport_size({"width": 390, "height": 780})
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    picture(page, "phone-classified")


def test_a_text_is_coloured_by_surprise_as_it_is_typed(visit, picture, look_inside):
    page = visit()
    look_inside(page, "Surprise")
    expect(page.locator("#surprise .coloured")).to_contain_text("The function returns a lsit")
    text = "The function xqzt\treturns 👩‍👩‍👧 a list.\n" * 54  # 2,000 characters
    began = time.monotonic()
    page.locator("#inside-text textarea").fill(text)
    expect(page.locator("#surprise .coloured")).to_contain_text("The function xqzt")
    assert time.monotonic() - began < 3  # with a browser and a server on the same two cores
    expect(page.locator("#worst .facts")).to_contain_text("bits per character")
    page.locator("#inside-text textarea").fill("The function xqzt {{x}} <b>\n")
    expect(page.locator("#surprise .coloured")).to_have_text("The function xqzt {{x}} <b>\n")
    page.locator("#surprise [data-tooltip]", has_text="q").hover()
    expect(page.locator("#glyph-tooltip")).to_be_visible()
    assert re.match(r"“q”  \d+\.\d\d bits\n“.*%", page.locator("#glyph-tooltip").text_content())
    expect(page.locator("#worst .spots tr")).to_have_count(9)
    picture(page, "inside-surprise")


def test_a_component_is_found_coloured_saved_and_held(visit, picture, seconds_until, look_inside):
    page = visit()
    look_inside(page, "State")
    page.locator("#inside-text textarea").fill(
        "".join(Text.open(["python-docs"]).pieces())[20_000:23_000]
    )
    page.locator("#find").click()
    expect(page.locator("#followers button").first).to_be_visible(timeout=20_000)
    wanted = page.locator("#followers button").first.get_attribute("data-text")
    page.locator("#followers button").first.click()
    layer, kind, component = wanted.split(":")
    expect(page.locator("#state-told")).to_contain_text(f"{kind} {component} of layer {layer}: from")
    for colour in ("warm", "cool"):
        spans = page.locator(f"#state .coloured [style*=--{colour}]")
        seconds_until(lambda spans=spans: spans.count() > 20, limit=10)
    with page.expect_download() as download:
        page.locator("#save-state").click()
    saved = download.value.path().read_text()
    assert saved.startswith("<svg")
    assert f"{kind} {component} of layer {layer}" in saved
    page.locator("#write-held").click()
    expect(page.locator("#held .sheet")).to_have_count(2)
    sheets = page.locator("#held .sheet")
    free, held = sheets.all_text_contents()
    assert free[:4] == held[:4] == "The "
    if free == held:  # it was there already, and the other end is not
        least = page.locator("#hold input[type=range]").get_attribute("min")
        page.locator("#hold input[type=number]").fill(least)
        page.locator("#hold input[type=number]").press("Tab")
        page.locator("#write-held").click()
        seconds_until(lambda: len(set(sheets.all_text_contents())) == 2)
    page.locator("#component input").fill("9999")
    expect(page.locator("#state .note.bad")).to_contain_text("“Cell” must be")
    page.locator("#component input").fill(component)
    expect(page.locator("#state .coloured")).to_be_visible()
    picture(page, "inside-state")


def test_the_vanishing_gradient_is_seen(visit, picture, look_inside):
    page = visit()
    look_inside(page, "Gradients")
    expect(page.locator("#inside-text")).to_be_hidden()
    page.locator("#measure").click()
    expect(page.locator("#gradient svg .tag")).to_have_count(1, timeout=60_000)
    page.locator("#compare-cells").click()
    expect(page.locator("#reach-told")).to_contain_text("seconds", timeout=20_000)
    expect(page.locator("#reach-told")).to_contain_text("times that of the RNN", timeout=120_000)
    expect(page.locator("#gradient svg .tag")).to_have_text(["rnn", "gru", "lstm"])
    picture(page, "inside-gradients")
    page.locator("#compare-cells").click()
    expect(page.locator("#stop-cells")).to_be_visible(timeout=20_000)
    page.locator("#stop-cells").click()
    expect(page.locator("#reach-told")).to_contain_text("Stopped")


def test_back_to_a_bookmark_and_on_from_there_twice(visit, written, picture):
    page = visit()
    page.locator("#prompt textarea").fill("The ")
    page.locator("#write").click()
    expect(page.locator("#told")).to_contain_text("500 characters, seed")
    place = written(page)
    page.locator("#keep").click()
    expect(page.locator("#bookmarks input")).to_be_visible()
    texts = []
    for _ in range(2):
        page.locator("#bookmarks input").click()
        page.get_by_role("option").first.click()
        expect(page.locator("#told")).to_contain_text("Back at the bookmark")
        assert written(page) == place
        page.locator("#continue").click()
        expect(page.locator("#told")).to_contain_text("500 characters, seed")
        texts.append(written(page))
    assert texts[0] != texts[1]
    assert all(text.startswith(place) and len(text) == len(place) + 500 for text in texts)
    picture(page, "bookmarks")


def test_what_is_copied_is_coloured(visit, written, picture):
    page = visit()
    manual = "".join(Text.open(["python-docs"]).pieces())
    place = manual.index("The ", 30_000)
    page.locator("#prompt textarea").fill("Zq " + manual[place : place + 120])
    page.locator("#write").click()
    expect(page.locator("#told")).to_contain_text("500 characters, seed")
    before = written(page)
    page.locator("#copied").click()
    expect(page.locator("#told")).to_contain_text(
        "% is copied word for word from the training text", timeout=20_000
    )
    assert written(page) == before
    copied = "".join(page.locator("#written .coloured [style*=--cool]").all_text_contents())
    assert manual[place : place + 120] in copied
    picture(page, "copied")


def test_the_page_of_a_surprised_model_needs_no_network(browser, call, tmp_path, pictures):
    text = "a\tb\n<b>é</b> 👩‍👩‍👧 {{x}} ${y}\nlast"
    TextGenerator.new(text * 20, hidden_size=8).save(tmp_path / "m")
    (tmp_path / "t.txt").write_text(text)
    status, _, _ = call("inspect", "surprise", "t.txt", "-m", "m", "--html", "t.html")
    assert status == 0
    context = browser.new_context(offline=True)
    page = context.new_page()
    faults = []
    page.on("console", lambda m: faults.append(m.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith("file:") else faults.append(r.url))
    page.goto(f"file://{tmp_path / 't.html'}")
    assert page.locator("pre.coloured").text_content() == text
    lines = page.locator("pre.coloured").inner_text().replace("↵", "").split("\n")
    assert len(lines) == 3
    tab_mark = page.locator(".tab").evaluate("e => getComputedStyle(e, '::before').content")
    assert tab_mark == '"⇥"'
    family = page.locator("pre.coloured span", has_text="👩‍👩‍👧").first
    assert family.text_content() == "👩‍👩‍👧"  # in one piece
    family.hover()
    expect(page.locator("#glyph-tooltip")).to_contain_text("bits")
    page.screenshot(path=pictures / "surprise-page.png")
    context.close()
    assert not faults


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(visit, scheme, tab, picture):
    page = visit(color_scheme=scheme)
    page.locator("#prompt textarea").fill("The ")
    for _ in range(30):  # until the text ends where there is a choice, for the picture
        page.locator("#told").evaluate("element => element.querySelector('.note').textContent = ''")
        page.locator("#write").click()
        expect(page.locator("#told")).to_contain_text("500 characters")
        page.wait_for_timeout(400)
        if page.locator("#bars button").count() > 7:
            break
    ground = page.evaluate(
        "getComputedStyle(document.querySelector('#written .sheet')).backgroundColor"
    )
    brightness = sum(map(int, re.findall(r"\d+", ground)[:3]))
    assert (brightness > 600) == (scheme == "light"), ground
    picture(page, f"write-{scheme}")
    tab(page, "Look inside")
    expect(page.locator("#surprise .coloured")).to_be_visible()
    picture(page, f"inside-{scheme}")


def test_a_phone_needs_no_sideways_scrolling(visit, tab, picture):
    page = visit(width=390, height=780, has_touch=True, is_mobile=True)
    page.locator("#write").click()
    expect(page.locator("#told")).to_contain_text("500 characters")
    for name in ("Write", "Train", "Classify", "Look inside"):
        if page.get_by_role("tab", name=name, exact=True).is_visible():
            tab(page, name)
        else:  # in the menu of those that find no room
            page.locator(".overflow-menu > button").first.click()
            page.locator(".overflow-dropdown button", has_text=name).click()
        expect(page.get_by_role("tabpanel").filter(visible=True).first).to_be_visible()
        width = page.evaluate("document.scrollingElement.scrollWidth")
        assert width <= 390, name
        picture(page, f"phone-{name.lower()}")


def test_markup_in_a_text_is_text(visit, written):
    page = visit(model="markup")
    page.locator("#prompt textarea").fill(MARKUP)
    page.locator("#write").click()
    expect(page.locator("#told")).to_contain_text("500 characters")
    assert written(page).startswith(MARKUP)
    assert page.locator("#written img, #written b").count() == 0
    page.locator("#clear").click()
    page.locator("#prompt textarea").fill(MARKUP + "日<b>")
    expect(page.locator("#bars .note")).to_contain_text("U+65E5")
    assert page.locator("#bars b").count() == 0
