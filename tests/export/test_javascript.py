"""The JavaScript of the exported page writes, cuts and measures texts exactly as Python does."""

import json
import random
import re
import shutil
import subprocess
import unicodedata
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "write.js"
SAMPLERS = [
    {"temperature": 0.8, "top_k": None},
    {"temperature": 1.2, "top_k": 5},
    {"temperature": 0.0, "top_k": None},
]
PROMPTS = ["", "The sea", "naïve\n", "A “t"]

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js to run it")


@pytest.fixture(scope="module")
def javascript():
    """Returns what write.js says of a generator, some texts and some writings."""

    def javascript(writer, texts=(), writings=()):
        (model,) = re.findall(r'<script id="model"[^>]*>(.*?)</script>', writer.to_html(), re.S)
        request = {"model": json.loads(model), "texts": list(texts), "writings": list(writings)}
        answer = subprocess.run(
            ["node", SCRIPT], input=json.dumps(request), capture_output=True, text=True, check=False
        )
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)

    return javascript


@pytest.mark.slow
@pytest.mark.parametrize("split_on", [None, "line"])
@pytest.mark.parametrize(
    ("cell", "tokenizer"),
    [
        *((cell, tokenizer) for cell in ("lstm", "gru", "rnn") for tokenizer in ("char", "byte")),
        *(("lstm", tokenizer) for tokenizer in ("bpe", "unigram")),
    ],
)
def test_it_writes_the_same_text(make, javascript, cell, tokenizer, split_on):
    writer = make(cell, tokenizer, split_on)
    prompts = [prompt for prompt in PROMPTS if split_on is None or "\n" not in prompt]
    writings = [
        {"text": prompt, "length": 300, "seed": seed, **sampler}
        for prompt in prompts
        for sampler in SAMPLERS
        for seed in (0, 2**32 - 1)
    ]
    expected = [
        writer.read(text, weights="int8").generate(**options)
        for text, options in (
            (writing["text"], {key: value for key, value in writing.items() if key != "text"})
            for writing in writings
        )
    ]
    assert javascript(writer, writings=writings)["written"] == expected
    assert any(expected)


@pytest.mark.parametrize("layers", [1, 3])
def test_it_writes_the_same_with_other_depths(make, javascript, layers):
    writer = make("gru", "char", None, layers)
    writing = {"text": "The ", "length": 400, "seed": 3, "temperature": 0.9}
    expected = writer.read("The ", weights="int8").generate(400, seed=3, temperature=0.9)
    assert javascript(writer, writings=[writing])["written"] == [expected]


def test_a_seed_may_have_more_digits_than_a_double(make, javascript):
    seed = 2**63 - 1
    writing = {"text": "A", "length": 100, "seed": str(seed)}
    expected = make().read("A", weights="int8").generate(100, seed=seed)
    assert javascript(make(), writings=[writing])["written"] == [expected]


def test_a_text_is_continued_from_where_it_ended(make, javascript):
    writer = make()
    first = writer.read("The ", weights="int8").generate(50, seed=1)
    texts = ["The ", f"The {first}", "", f"{first}"]
    writings = [{"text": text, "length": 50, "seed": 1} for text in texts]
    expected = [writer.read(text, weights="int8").generate(50, seed=1) for text in texts]
    assert javascript(writer, writings=writings)["written"] == expected


@pytest.mark.slow
@pytest.mark.parametrize("tokenizer", ["char", "byte", "bpe", "unigram"])
def test_it_cuts_texts_as_python_does(make, javascript, tokenizer):
    rng = random.Random(1)
    writer = make(tokenizer=tokenizer)
    known = sorted(set("The sea is “calm” tonight, naïve and blue.\n</script>"))
    others = [] if tokenizer == "char" else [*"日é\u2581\ufdd0\U0001f600\r\t\0"]
    texts = ["", "\n\n", "  ", *("".join(rng.choices(known, k=40)) for _ in range(200))]
    texts += ["".join(rng.choices(known + others, k=20)) for _ in range(200)]
    texts += ["the sea " * 600, "a" * 4100]
    expected = [writer.tokenizer.encode(text).tolist() for text in texts]
    assert javascript(writer, texts)["encoded"] == expected


def test_characters_that_the_model_lacks_are_replaced_as_in_python(make, javascript):
    writer = make()
    texts = [
        "Über „Straße“ — ÉÀ",
        unicodedata.normalize("NFD", "naïve é"),
        "日本 tide…",
        "T\tQ\u00a0½",
        "THE SEA ŁÆ«x»",
    ]
    expected = [writer.tokenizer.adapt(text, skip=True)[0] for text in texts]
    assert javascript(writer, expected)["adapted"] == expected
    model = javascript(writer, [])
    assert model["adapted"] == []
    script = (
        "const {readFileSync} = require('node:fs');"
        f"const T = require({str(SCRIPT.parents[2] / 'chargen/export/tokenizer.js')!r});"
        "const [v, t] = JSON.parse(readFileSync(0, 'utf8'));"
        "console.log(JSON.stringify(t.map((x) => T.build(v).adapt(x)[0])))"
    )
    vocabulary = {"kind": "char", "documents": False, "characters": writer.tokenizer.characters}
    answer = subprocess.run(
        ["node", "-e", script],
        input=json.dumps([vocabulary, texts]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(answer.stdout) == expected


@pytest.mark.parametrize("tokenizer", ["char", "bpe"])
def test_the_surprise_is_about_that_of_full_precision(make, javascript, tokenizer):
    writer, text = make(tokenizer=tokenizer), "The sea is calm tonight"
    bits = sum(javascript(writer, [text])["bits"][0])
    ids = writer.tokenizer.encode(text)
    state = writer.read("\n").expected()
    assert bits > 0
    assert state
    scored = writer.surprise("\n" + text)
    assert bits == pytest.approx(sum(c.bits for c in scored.characters() if c.bits), rel=0.05)
    assert len(ids) >= len(javascript(writer, [text])["bits"][0])
