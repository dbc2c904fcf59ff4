"""The tab to look inside, in a real browser: models that cannot read English, keys, and ranges."""

import re

import pytest

expect = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed").expect
pytestmark = pytest.mark.slow


def test_w11_a_model_of_names_is_looked_at_in_its_own_letters(visit, look_inside, tab, picture):
    page = visit()
    look_inside(page, "State", model="names", example=r"^[a-z]+\n[a-z]+\n")
    prompt = page.locator("#held-prompt").locator("input, textarea")
    expect(prompt).to_have_value(re.compile("^[a-z]{1,4}$"))
    page.locator("#write-held").click()
    expect(page.locator("#held .sheet")).to_have_count(2)
    assert page.locator("#held .bad").count() == 0
    page.locator("#find").click()
    expect(page.locator("#followers li").first).to_be_visible(timeout=20_000)
    picture(page, "inside-names")
    tab(page, "Gradients")
    page.locator("#reach-models input").click()
    page.get_by_role("option", name="names", exact=True).click()
    page.keyboard.press("Escape")
    page.locator("#measure").click()
    expect(page.locator("#gradient svg")).to_be_visible(timeout=60_000)
    expect(page.locator("#reach-told .bad")).to_have_count(0)


def test_w3_w21_a_cell_is_fixed_within_what_was_observed(visit, look_inside):
    page = visit()
    look_inside(page, "State")
    told = page.locator("#state-told")
    slider, field = page.locator("#hold input[type=range]"), page.locator("#hold input[type=number]")
    for cell in ("3", "7"):
        page.locator("#component input").fill(cell)
        expect(told).to_contain_text(f"cell {cell} of layer 1")
        low, high = map(float, re.findall(r"[+-]\d+\.\d+", told.text_content()))
        expect(slider).to_have_attribute("min", re.compile(r"-?\d"))
        page.wait_for_timeout(300)
        least, most = float(slider.get_attribute("min")), float(slider.get_attribute("max"))
        assert least <= low + 0.01
        assert most >= high - 0.01
        assert most - least < 1.3 * (high - low) + 0.1
        assert least <= float(field.input_value()) <= most
    for typed, shown in (("", "empty or no number"), ("1.5", "1.5"), ("-1", "-1"), ("9999", "9999")):
        page.locator("#component input").fill(typed)
        expect(page.locator("#state .bad")).to_contain_text(
            re.compile("“Cell” must be a whole number from 0")
        )
        expect(page.locator("#state .bad")).to_contain_text(f"it is {shown}")
        page.locator("#write-held").click()
        expect(page.locator("#held .bad")).to_contain_text(f"it is {shown}")
    page.locator("#layer input").fill("")
    expect(page.locator("#state .bad")).to_contain_text("“Layer” must be a whole number from 1 to")
    assert page.locator(".toast-body").count() == 0


def test_w22_arrow_keys_move_through_the_characters(visit, look_inside):
    page = visit()
    look_inside(page, "Surprise")
    page.locator("#inside-text textarea").fill("The function\nxqzt returns")
    expect(page.locator("#surprise .coloured")).to_contain_text("xqzt")
    tip = page.locator("#glyph-tooltip")
    page.locator("#surprise .coloured").focus()
    for expected in "he f":
        page.keyboard.press("ArrowRight")
        if expected == "h":
            page.keyboard.press("ArrowRight")
        expect(tip).to_contain_text("␣" if expected == " " else f"“{expected}”")
    page.keyboard.press("ArrowLeft")
    expect(tip).to_contain_text("␣")
    page.keyboard.press("End")
    expect(tip).to_contain_text("“s”")
    page.keyboard.press("Home")
    expect(tip).to_contain_text("no context precedes it")
    assert tip.get_attribute("aria-live") == "polite"
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
