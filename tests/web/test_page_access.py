"""W24: axe finds nothing to object to on any tab, in any state, light and dark, wide and narrow."""

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
expect = playwright.expect
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def violations():
    """Returns what axe objects to on a page, each as its rule and the elements."""

    def violations(page):
        page.mouse.move(1, 1)  # a button under the pointer has other colours
        page.wait_for_timeout(300)
        response = axe.Axe().run(page).response
        return [
            (rule["id"], [node["html"][:120] for node in rule["nodes"]])
            for rule in response["violations"]
        ]

    return violations


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_w24_axe_objects_to_nothing(
    visit, tab, look_inside, violations, scheme, width, verse, picture
):
    page = visit(width=width, color_scheme=scheme, reduced_motion="reduce")
    assert violations(page) == []
    page.locator("#prompt textarea").fill("The ")
    page.locator("#write").click()
    expect(page.locator("#told")).to_contain_text("characters, seed")
    page.locator("#copied").click()
    expect(page.locator("#told")).to_contain_text("copied word for word", timeout=30_000)
    page.locator("#keep").click()
    page.locator("#more > button").click()
    assert violations(page) == []
    page.locator("#compare").click()
    expect(page.locator("#written .choice")).to_have_count(5)
    page.locator("#written .choice button").nth(2).click()
    assert violations(page) == []
    page.locator("#seed").locator("input, textarea").fill("x")
    page.locator("#write").click()
    expect(page.locator("#told .bad")).to_be_visible()
    assert violations(page) == []
    tab(page, "Train")
    if scheme == "light":
        page.locator("#pasted textarea").fill(verse[:2000])
        page.locator("#name").locator("input, textarea").fill(f"axe {width}")
        page.locator("#minutes input").fill("0.1")
        expect(page.locator("#train")).to_be_enabled(timeout=60_000)
        page.locator("#train").click()
        expect(page.locator("#stop-training")).to_be_visible(timeout=20_000)
        page.locator("#stop-training").click()
        expect(page.locator(".question")).to_be_visible()
        assert violations(page) == []
        expect(page.locator("#curve svg")).to_be_visible(timeout=60_000)
        expect(page.locator("#status")).to_contain_text("has finished", timeout=60_000)
    assert violations(page) == []
    tab(page, "Classify")
    if scheme == "light" and width == 1280:
        page.locator("#classifier-minutes input").fill("0.1")
        expect(page.locator("#train-classifier")).to_be_enabled(timeout=60_000)
        page.locator("#train-classifier").click()
        expect(page.locator("#classifier-status")).to_contain_text("has finished", timeout=90_000)
        for section in page.locator("#held-out summary").all():
            section.click()
        page.locator("#at-least input").fill("100")
    if page.locator("#to-judge").is_visible():
        page.locator("#to-judge textarea").fill("Wo ist der Bahnhof?")
        expect(page.locator("#judged li").first).to_be_visible()
    assert violations(page) == []
    picture(page, f"classify-{scheme}-{width}")
    look_inside(page, "Surprise")
    expect(page.locator("#surprise .coloured")).to_contain_text("The function")
    assert violations(page) == []
    tab(page, "State")
    page.locator("#find").click()
    expect(page.locator("#followers li").first).to_be_visible(timeout=30_000)
    page.locator("#write-held").click()
    expect(page.locator("#held .sheet")).to_have_count(2)
    assert violations(page) == []
    tab(page, "Gradients")
    if width == 1280:
        page.locator("#measure").click()
        expect(page.locator("#gradient svg")).to_be_visible(timeout=60_000)
    assert violations(page) == []
    moving = page.evaluate(
        """() => [...document.querySelectorAll('*')].filter((element) => {
          const style = getComputedStyle(element);
          const seconds = (text) => Math.max(...text.split(',').map(parseFloat));
          return (style.animationName !== 'none' && seconds(style.animationDuration) > 0)
            || (style.transitionProperty !== 'none' && seconds(style.transitionDuration) > 0);
        }).map((element) => element.tagName + '.' + element.className)"""
    )
    assert moving == []
