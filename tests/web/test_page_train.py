"""The tabs that train, in a real browser: nothing that a visitor does ends in a dead end."""

import json
import re

import pytest

expect = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed").expect
pytestmark = pytest.mark.slow


@pytest.fixture
def train_tab(visit, tab):
    """Opens the tab to train, once nothing is training any more."""

    def train_tab(name="Train", **options):
        page = visit(**options)
        tab(page, name)
        button = "#train" if name == "Train" else "#train-classifier"
        expect(page.locator(button)).to_be_enabled(timeout=60_000)
        expect(page.locator(button)).to_have_text("Train")
        return page

    return train_tab


def paste(page, text, name="", minutes=""):
    # Playwright's `fill` inserts a long text with many lines as if it were typed.
    page.locator("#pasted textarea").evaluate(
        "(e, text) => { e.value = text; e.dispatchEvent(new Event('input', {bubbles: true})); }", text
    )
    if name:
        page.locator("#name").locator("input, textarea").fill(name)
    if minutes:
        page.locator("#minutes input").fill(minutes)


def stop(page):
    page.locator("#stop-training").click()
    expect(page.locator(".question")).to_contain_text("Its best version so far is kept")
    page.locator("#stop-training-yes").click()


def test_w3_minutes_that_make_no_sense_are_one_sentence_beside_the_button(train_tab, verse):
    page = train_tab()
    paste(page, verse, name="nonsense")
    for minutes in ("", "0", "-3", "1e9", "0.049"):
        page.locator("#minutes input").fill(minutes)
        page.locator("#train").click()
        shown = {"": "empty or no number", "1e9": "1000000000"}.get(minutes, minutes)
        expect(page.locator("#refused")).to_have_text(
            f"“Minutes” must be a number from 0.05 to 1,440; it is {shown}"
        )
    page.locator("#minutes input").fill("2")
    page.locator("#pasted textarea").fill("short")
    page.locator("#train").click()
    expect(page.locator("#refused")).to_contain_text("nothing to learn")
    assert page.locator(".toast-body").count() == 0
    page.get_by_label("Upload a file").check()
    page.locator("#train").click()
    expect(page.locator("#refused")).to_have_text("there is no file yet; choose one above")


def test_w23_a_pasted_text_is_counted_in_the_browser_and_true(train_tab, names):
    page = train_tab()
    sent = []
    page.on("request", lambda r: sent.append(len(r.post_data or "")) if r.method == "POST" else None)
    paste(page, names * 20 + "<b>${x}</b> 🙂\n")
    expect(page.locator("#found")).to_contain_text("lines 40,001")
    page.locator("#pasted textarea").press("Control+End")
    page.locator("#pasted textarea").press_sequentially("abc", delay=100)
    expect(page.locator("#found")).to_contain_text("lines 40,002")
    assert page.locator("#found b b").count() == 0
    paste(page, names)
    expect(page.locator("#found")).to_contain_text("lines 2,000")
    expect(page.locator("#found")).to_contain_text("different characters 15")
    page.locator("#pasted textarea").fill("")
    expect(page.locator("#found")).to_have_text("")
    assert sent
    assert max(sent) < 2000


def test_w4_a_file_in_another_encoding_is_read_in_one_that_is_chosen(
    train_tab, tmp_path, home, picture
):
    page = train_tab()
    page.get_by_label("Upload a file").check()
    path = tmp_path / "слова.txt"
    path.write_bytes(("Съешь ещё этих мягких французских булок\n" * 60).encode("cp1251"))
    page.locator("#upload input[type=file]").set_input_files(path)
    expect(page.locator("#encoding input")).to_have_value("Western European (Windows-1252)")
    expect(page.locator("#found .line")).to_contain_text("Ñúåøü")
    page.locator("#encoding input").click()
    page.get_by_role("option", name="Cyrillic (Windows-1251)").click()
    expect(page.locator("#found .line")).to_have_text("Съешь ещё этих мягких французских булок")
    expect(page.locator("#found")).to_contain_text("characters 2,400")
    picture(page, "encoding")
    expect(page.locator("#name").locator("input, textarea")).to_have_value("слова")
    page.locator("#minutes input").fill("0.05")
    page.locator("#train").click()
    expect(page.locator("#status")).to_contain_text("“слова” has finished training", timeout=60_000)
    saved = home / "checkpoints" / "слова" / "слова.txt"
    assert saved.read_text("utf-8").startswith("Съешь")
    binary = tmp_path / "picture.txt"
    binary.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0")
    page.locator("#upload button[aria-label*=lear]").first.click()
    page.locator("#upload input[type=file]").set_input_files(binary)
    expect(page.locator("#found")).to_contain_text("not a text but a PNG image")
    expect(page.locator("#encoding")).to_be_hidden()


def test_w4_rows_that_cannot_be_used_are_left_out_by_a_box(train_tab, tmp_path):
    page = train_tab("Classify")
    page.get_by_label("Upload a table").check()
    rows = "".join(f"{'good day' if i % 2 else 'bad night'} {i},{i % 2}\n" for i in range(60))
    path = tmp_path / "days.csv"
    path.write_bytes(("text,class\n" + rows + "café,\n").encode("cp1252"))
    page.locator("#table input[type=file]").set_input_files(path)
    expect(page.locator("#table-encoding input")).to_have_value("Western European (Windows-1252)")
    expect(page.locator("#table-found .bad")).to_contain_text(
        "the label is empty; correct the row, or leave such rows out with “Leave out rows that cannot"
    )
    page.get_by_label("Leave out rows that cannot be used").check()
    expect(page.locator("#table-found")).to_contain_text("texts 60")
    expect(page.locator("#table-found")).to_contain_text("left out 1 bad row")
    page.locator("#classifier-minutes input").fill("")
    page.locator("#train-classifier").click()
    expect(page.locator("#classifier-refused")).to_contain_text("“Minutes” must be")
    page.locator("#classifier-minutes input").fill("0.1")
    page.locator("#train-classifier").click()
    expect(page.locator("#classifier-status")).to_contain_text("has finished", timeout=60_000)
    page.locator("#to-judge textarea").fill("good day")
    expect(page.locator("#judged li").first).to_contain_text("1")


def test_w4_w10_w18_a_training_is_stopped_once_confirmed_and_goes_on(
    train_tab, tab, verse, picture, visit
):
    page = train_tab()
    paste(page, verse * 40, name="gehen wir", minutes="0.3")
    page.locator("#train").click()
    expect(page.locator("#train")).to_have_text("Waiting: “gehen wir” is training")
    expect(page.locator("#status")).to_contain_text("is training, begun at", timeout=60_000)
    expect(page.locator("#status")).to_contain_text("by somebody at this computer")
    expect(page.locator("#plan summary")).to_be_visible()
    page.locator("#plan summary").click()
    tab(page, "Classify")
    expect(page.locator("#train-classifier")).to_be_disabled()
    expect(page.locator("#train-classifier")).to_have_text("Waiting: “gehen wir” is training")
    expect(page.locator("#classifier-status")).to_contain_text("in the tab Train")
    tab(page, "Train")
    expect(page.locator("#plan details")).to_have_attribute("open", "")  # while other things change
    page.locator("#stop-training").click()
    page.locator("#stop-training-no").click()
    expect(page.locator("#status")).to_contain_text("is training")
    stop(page)
    expect(page.locator("#status")).to_contain_text("“gehen wir” was stopped", timeout=20_000)
    expect(page.locator("#unfinished input")).to_have_value(re.compile("^gehen wir: 0:.* of 0:18"))
    picture(page, "stopped")
    steps = int(
        re.search(r"step ([\d,]+)", page.locator("#status").text_content())[1].replace(",", "")
    )

    tab(page, "Look inside")  # all menus know the new model
    page.locator("#inside-model input").click()
    page.get_by_role("option", name="gehen wir", exact=True).click()
    tab(page, "Write")
    page.locator("#model input").click()
    expect(page.get_by_role("option", name="gehen wir", exact=True)).to_be_visible()
    page.keyboard.press("Escape")

    tab(page, "Train")
    page.locator("#resume").click()
    expect(page.locator("#status")).to_contain_text("is training, begun at", timeout=60_000)
    expect(page.locator("#status")).to_contain_text("has finished training", timeout=90_000)
    assert (
        int(re.search(r"step ([\d,]+)", page.locator("#status").text_content())[1].replace(",", ""))
        > steps
    )
    expect(page.locator("#curve .unseen td").first).to_be_attached()
    words = page.locator("body").text_content()
    assert not re.search(r"terminal|command line|chargen train|--[a-z]", words)


def test_w13_a_training_that_failed_frees_its_name(train_tab, home):
    page = train_tab()
    page.locator("#split-on").get_by_label("Items separated by blank lines").check()
    for _ in range(2):
        paste(page, "one item without a blank line " * 20, name="failed", minutes="0.1")
        page.locator("#train").click()
        expect(page.locator("#train")).to_have_text("Waiting: “failed” is training")
        expect(page.locator("#status")).to_contain_text(
            "“failed” could not be trained", timeout=60_000
        )
        expect(page.locator("#train")).to_have_text("Train")
    assert not (home / "checkpoints" / "failed").exists()
    assert not (home / "checkpoints" / "failed-2").exists()


def test_w18_a_training_that_is_stopped_at_once_has_saved_nothing_and_says_so(train_tab, home, verse):
    page = train_tab()
    paste(page, verse * 100, name="at once", minutes="1")
    page.locator("#train").click()
    stop(page)
    expect(page.locator("#status")).to_contain_text("“at once” was stopped.", timeout=30_000)
    expect(page.locator("#train")).to_have_text("Train", timeout=10_000)
    if "not learned anything" in page.locator("#status").text_content():
        assert not (home / "checkpoints" / "at once").exists()
        expect(page.locator("#use")).to_be_hidden()
    else:
        assert (home / "checkpoints" / "at once" / "manifest.json").exists()


def test_w25_a_name_in_any_script_is_a_name(train_tab, home, verse):
    page = train_tab()
    paste(page, verse, name="../日記", minutes="0.05")
    page.locator("#train").click()
    expect(page.locator("#refused")).to_contain_text("'../日記' cannot be a name")
    page.locator("#name").locator("input, textarea").fill("日記 हिन्दी")
    page.locator("#train").click()
    expect(page.locator("#status")).to_contain_text("“日記 हिन्दी” has finished", timeout=60_000)
    config = json.loads((home / "checkpoints" / "日記 हिन्दी" / "config.json").read_text("utf-8"))
    assert config["kind"]


def test_w4_a_classifiers_training_is_stopped_and_goes_on(train_tab, tab, tmp_path, picture):
    page = train_tab()
    tab(page, "Classify")
    page.locator("#table-source").get_by_label("Upload a table").check()
    rows = [
        f"a {'good' if i % 2 else 'bad'} day at number {i},{'glad' if i % 2 else 'sad'}"
        for i in range(400)
    ]
    (tmp_path / "days.csv").write_text("\n".join(rows))
    page.locator("#table input[type=file]").set_input_files(tmp_path / "days.csv")
    expect(page.locator("#table-found")).to_contain_text("400")
    page.locator("#classifier-name").locator("input, textarea").fill("two moods")
    page.locator("#classifier-minutes input").fill("0.3")
    page.locator("#train-classifier").click()
    status, step = page.locator("#classifier-status"), re.compile(r"step ([\d,]+)")
    expect(status).to_contain_text("is training, begun at", timeout=60_000)
    expect(status).to_contain_text("correct, on texts it has never seen", timeout=60_000)
    page.locator("#stop-classifier").click()
    page.locator("#stop-classifier-yes").click()
    expect(status).to_contain_text("“two moods” was stopped", timeout=20_000)
    unfinished = page.locator("#unfinished-classifier input")
    expect(unfinished).to_have_value(re.compile("^two moods: 0:.* of 0:18"))
    picture(page, "classifier-stopped")
    before = int(step.search(status.text_content())[1].replace(",", ""))
    tab(page, "Train")
    expect(page.locator("#resuming")).to_be_hidden()

    tab(page, "Classify")
    page.locator("#resume-classifier").click()
    expect(status).to_contain_text("is training, begun at", timeout=60_000)
    expect(status).to_contain_text("has finished training", timeout=90_000)
    assert int(step.search(status.text_content())[1].replace(",", "")) > before
    expect(page.locator("#resuming-classifier")).to_be_hidden()
    expect(page.locator("#classifier-curve")).to_contain_text("counts n-grams")


def test_a_learning_curve_says_whether_more_texts_would_help(visit, tmp_path):
    table = tmp_path / "moods.csv"
    rows = [
        f"{'lovely' if n % 2 else 'dreadful'} day {n},{'good' if n % 2 else 'bad'}" for n in range(60)
    ]
    table.write_text("\n".join(["text,label", *rows]))
    page = visit()
    page.get_by_role("tab", name="Classify").click()
    page.locator("#table-source").get_by_label("Upload a table").check()
    page.locator("#more-texts > button").click()
    page.locator("#draw-curve").click()
    expect(page.locator("#curve-told")).to_contain_text("there is no table yet")
    page.locator("#table input[type=file]").set_input_files(table)
    expect(page.locator("#table-found")).to_contain_text("60")
    page.locator("#draw-curve").click()
    expect(page.locator("#learning-curve tr")).to_have_count(4, timeout=120_000)
    expect(page.locator("#curve-told")).to_contain_text("from 30% to all of them")
