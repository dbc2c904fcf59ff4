"""W4 and W25: the page is started anew, or crashes, under a tab that stays open."""

import re
import socket

import pytest

expect = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed").expect
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def test_w4_w25_an_open_tab_outlives_the_server_and_a_training_its_crash(
    visit, serve, tmp_path, port, tab, written, verse, picture
):
    with serve(tmp_path, "--port", port, ended=-9) as (url, process):
        page = visit(url=url)
        page.locator("#prompt textarea").fill("The ")
        page.locator("#write").click()
        expect(page.locator("#told")).to_contain_text("characters, seed", timeout=20_000)
        text = written(page)
        page.locator("#prompt textarea").fill("A prompt that was typed")
        page.locator("#keep").click()
        expect(page.locator("#bookmarks input")).to_be_visible()
        tab(page, "Train")
        page.locator("#pasted textarea").fill(verse[:3000])
        page.locator("#name").locator("input, textarea").fill("orphan")
        page.locator("#minutes input").fill("0.35")
        page.locator("#train").click()
        expect(page.locator("#sample .sheet")).to_be_visible(timeout=60_000)
        page.evaluate("window.beforeTheCrash = true")
        process.kill()
        process.wait()
        expect(page.locator("#connection")).to_contain_text("does not answer any more", timeout=20_000)
    with serve(tmp_path, "--port", port) as (url, _):
        page.wait_for_function(
            "!window.beforeTheCrash", timeout=60_000
        )  # Gradio has reloaded the page
        expect(page.locator("#connection")).to_contain_text("was started anew", timeout=30_000)
        picture(page, "restarted", full_page=False)
        page.locator("#connection button").click()
        expect(page.locator("#connection")).to_have_text("")
        expect(page.locator("#pasted textarea")).to_have_value(verse[:3000])
        tab(page, "Write")
        expect(page.locator("#prompt textarea")).to_have_value("A prompt that was typed")
        expect(page.locator("#written .sheet")).to_have_text(text)
        page.get_by_label("number input for Length").fill("50")
        page.get_by_label("number input for Length").press("Tab")
        page.locator("#continue").click()
        expect(page.locator("#told")).to_contain_text("50 characters, seed", timeout=20_000)
        assert written(page).startswith(text)
        page.locator("#bookmarks input").click()
        page.get_by_role("option").first.click()
        expect(page.locator("#written .sheet")).to_have_text(text)

        tab(page, "Train")
        expect(page.locator("#status")).to_contain_text("go on with one that was not finished")
        expect(page.locator("#unfinished input")).to_have_value(re.compile("^orphan: 0:"))
        page.locator("#resume").click()
        expect(page.locator("#status")).to_contain_text("is training", timeout=60_000)
        expect(page.locator("#status")).to_contain_text("has finished training", timeout=90_000)
        expect(page.locator("#resuming")).to_be_hidden()
        page.close()
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log, log
    visit.faults.clear()  # requests to a server that was not there
