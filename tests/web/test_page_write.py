"""The tab to write with, in a real browser: sheets, numbers, and what is in reach of whom."""

import re

import pytest

expect = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed").expect
pytestmark = pytest.mark.slow
CHOSEN = "#written .choice.chosen .sheet"


def write(page, prompt=None):
    if prompt is not None:
        page.locator("#prompt textarea").fill(prompt)
    page.locator("#write").click()
    expect(page.locator("#told")).to_contain_text("characters, seed", timeout=20_000)


def set_length(page, length):
    field = page.get_by_label("number input for Length")
    field.fill(str(length))
    field.press("Tab")


def test_w1_an_empty_seed_stays_empty_when_it_is_shown(visit):
    page = visit()
    page.locator("#more > button").click()
    expect(page.locator("#seed textarea, #seed input").first).to_have_value("")
    seeds = set()
    for _ in range(2):
        write(page, "The ")
        seeds.add(re.search(r"seed (\d+)", page.locator("#told").text_content())[1])
        page.locator("#told .note").evaluate("element => element.textContent = ''")
    assert len(seeds) == 2
    assert "0" not in seeds


def test_w3_w25_a_number_that_cannot_be_used_is_one_sentence_in_place_of_the_last(visit):
    page = visit()
    write(page, "The ")
    page.locator("#more > button").click()
    seed = page.locator("#seed textarea, #seed input").first
    for typed, shown in (
        ("1.5", "1.5"),
        ("-3", "-3"),
        ("1e400", "inf"),
        ("9007199254740993", "9007199254740993"),
        ("seven", "'seven'"),
    ):
        seed.fill(typed)
        page.locator("#write").click()
        expect(page.locator("#told")).to_have_text(
            f"“Seed” must be a whole number from 0 to 9,007,199,254,740,991; it is {shown}"
        )
        page.locator("#compare").click()
        expect(page.locator("#told .note.bad")).to_have_count(1)
    seed.fill("7")
    write(page)
    assert page.locator(".toast-body").count() == 0


def test_w8_everything_acts_on_the_sheet_that_is_chosen(visit, picture):
    page = visit()
    page.locator("#prompt textarea").fill("The module ")
    page.locator("#compare").click()
    expect(page.locator("#written .choice")).to_have_count(5)
    texts = page.locator("#written .sheet").all_text_contents()
    expect(page.locator(CHOSEN)).to_have_text(texts[0])
    page.locator("#written .choice").nth(3).locator("pre").click(position={"x": 9, "y": 9})
    expect(page.locator(CHOSEN)).to_have_text(texts[3])
    expect(page.locator("#written button[aria-pressed=true]")).to_have_text("temperature 1")
    end = texts[3][-5:].replace("\n", "↵")
    expect(page.locator("#bars p")).to_contain_text(end)
    picture(page, "chosen-sheet")

    page.locator("#keep").click()
    expect(page.locator("#bookmarks input")).to_be_visible()
    page.locator("#copied").click()
    expect(page.locator("#told")).to_contain_text("copied word for word", timeout=30_000)
    expect(page.locator(CHOSEN)).to_have_text(texts[3])
    assert page.locator("#written .sheet").count() == 5
    page.locator("#written .choice").nth(4).locator("button").press("Enter")
    expect(page.locator("#bars p")).to_contain_text(texts[4][-5:].replace("\n", "↵"))
    set_length(page, 50)
    page.locator("#continue").click()
    expect(page.locator("#told")).to_contain_text("50 characters, seed")
    assert page.locator("#written .sheet").text_content().startswith(texts[4])

    page.locator("#bookmarks input").click()
    page.get_by_role("option").first.click()
    expect(page.locator("#written .sheet")).to_have_text(texts[3])
    expect(page.locator("#again")).to_be_hidden()  # a bookmark has no seed


def test_w8_one_of_several_texts_is_chosen_and_a_selection_chooses_none(visit):
    page = visit()
    page.locator("#more > button").click()
    page.get_by_label("number input for Texts").fill("3")
    page.get_by_label("number input for Texts").press("Tab")
    write(page, "The ")
    texts = page.locator("#written .sheet").all_text_contents()
    assert len(set(texts)) == 3
    page.locator("#written .choice").nth(1).locator("pre").dblclick(position={"x": 40, "y": 24})
    page.locator("#written .choice").nth(2).locator("button").click()
    expect(page.locator(CHOSEN)).to_have_text(texts[2])
    expect(page.locator("#bars p")).to_contain_text(texts[2][-5:].replace("\n", "↵"))
    page.locator("#bars button:enabled").first.click()
    expect(page.locator("#told")).to_contain_text("Chosen by you")
    assert page.locator("#written .sheet").text_content()[:-1] == texts[2]


def test_w9_an_edited_prompt_changes_nothing_until_write(visit, written):
    page = visit()
    write(page, "The ")
    text = written(page)
    page.locator("#prompt textarea").fill("Something else ")
    page.wait_for_timeout(500)
    expect(page.locator("#bars p")).to_contain_text(text[-5:].replace("\n", "↵"))
    page.locator("#keep").click()
    set_length(page, 50)
    page.locator("#continue").click()
    expect(page.locator("#told")).to_contain_text("50 characters, seed")
    assert written(page).startswith(text)
    page.locator("#bookmarks input").click()
    page.get_by_role("option").first.click()
    expect(page.locator("#written .sheet")).to_have_text(text)
    page.locator("#clear").click()  # and without a sheet, the bars follow the prompt
    expect(page.locator("#bars p")).to_contain_text("Something else ")


def test_w12_a_menu_of_bookmarks_that_is_left_changes_nothing(visit, written, home):
    page = visit()
    write(page, "The ")
    text = written(page)
    page.locator("#keep").click()
    expect(page.locator("#bookmarks input")).to_be_visible()
    message = page.locator("#told").text_content()
    page.locator("#bookmarks input").click()
    page.mouse.click(640, 20)
    page.wait_for_timeout(800)
    assert written(page) == text
    assert page.locator("#told").text_content() == message
    assert "enough output values" not in (home / "log").read_text()


def test_w5_the_keyboard_is_seen_wherever_it_is(visit, tab):
    page = visit()
    write(page, "The ")
    seen = set()
    for name in ("Write", "Train", "Look inside"):
        tab(page, name)
        page.wait_for_timeout(300)
        page.locator("#presentation").focus()
        for _ in range(45):
            page.keyboard.press("Tab")
            kind, outlined = page.evaluate(
                """() => {
                  const element = document.activeElement;
                  const around = element.matches('[type=radio], [type=checkbox]')
                    ? element.closest('label') : element;
                  const style = getComputedStyle(around);
                  const width = style.outlineStyle === 'none' ? 0 : parseFloat(style.outlineWidth);
                  return [element === document.body ? '' : element.tagName + ' '
                    + (element.type || element.className || ''), width >= 2];
                }"""
            )
            if kind:
                assert outlined, (name, kind)
                seen.add(kind.split()[0] + " " + kind.split()[-1])
    assert {"TEXTAREA textarea", "BUTTON button", "INPUT range", "INPUT radio"} <= seen


def test_w20_the_presentation_takes_the_whole_width_in_large_letters(visit, picture):
    page = visit(width=1920, height=1080)
    before = page.locator("#written .sheet").bounding_box()
    size = "e => parseFloat(getComputedStyle(e).fontSize) * e.currentCSSZoom"
    letters = page.locator("#written .sheet").evaluate(size)
    page.locator("#presentation").click()
    expect(page.locator("#presentation")).to_have_attribute("aria-pressed", "true")
    after = page.locator("#written .sheet").bounding_box()
    assert after["width"] > 1.4 * before["width"]
    assert page.locator("#written .sheet").evaluate(size) > 1.3 * letters
    page.locator("#prompt textarea").fill("The module ")
    page.locator("#compare").click()
    expect(page.locator("#written .choice")).to_have_count(5)
    boxes = [choice.bounding_box() for choice in page.locator("#written .choice").all()]
    assert len({round(box["y"]) for box in boxes}) == 1  # side by side
    assert boxes[-1]["x"] + boxes[-1]["width"] > 1750
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 1920
    picture(page, "presentation")
    visit.reload(page)
    expect(page.locator("#presentation")).to_have_attribute("aria-pressed", "true")


def test_w22_on_a_phone_text_temperature_and_bars_are_in_one_reach(visit, picture):
    page = visit(width=390, height=780, has_touch=True, is_mobile=True)
    write(page, "The ")
    visit.idle(page)  # the bars are drawn anew after the text
    top = page.locator("#written").bounding_box()["y"]
    temperature = page.locator("#temperature").bounding_box()
    bars = page.locator("#bars button:visible").all()[:4][-1].bounding_box()
    assert top < temperature["y"]
    assert temperature["y"] + temperature["height"] - top < 780
    assert bars["y"] + bars["height"] - top < 780
    picture(page, "phone-written")


def test_the_model_can_be_taken_home(visit, tmp_path):
    page = visit()
    with page.expect_download() as download:
        page.locator("#take").click()
    expect(page.locator("#told")).to_contain_text("this model in one file")
    saved = tmp_path / download.value.suggested_filename
    download.value.save_as(saved)
    assert saved.name == "chargen.html"
    home = page.context.new_page()
    home.goto(saved.as_uri())
    home.locator("#prompt").fill("The ")
    home.locator("#write").click()
    expect(home.locator("#status")).to_contain_text("characters with the seed", timeout=20_000)
    home.close()
