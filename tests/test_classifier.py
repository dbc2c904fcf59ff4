"""What a user holds to sort texts with, in Python and by the command."""

import copy
import inspect
import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from chargen import ChargenError, Coverage, Labelled, TextClassifier, TextGenerator

QUICK = ["--steps", 3, "--hidden", 8]


@pytest.fixture(scope="session")
def reader(moods):
    reader = TextClassifier.new(moods, hidden_size=24, embedding_size=16, dropout=0.1)
    for _ in reader.train(moods, steps=150, seed=0):
        pass
    return reader


def test_it_learns_and_says_the_likeliest_class_first(reader):
    found = reader.predict("the lake was bad today 12")
    assert list(found) == ["sad", "glad"]
    assert sum(found.values()) == pytest.approx(1)
    assert found["sad"] > 0.8
    assert reader.record.scores["accuracy"] > 0.9


def test_several_texts_are_judged_as_each_alone(reader, moods):
    several = list(reader.predict_many(moods.texts[:70]))
    for text, found in zip(moods.texts[:70], several, strict=True):
        assert found == pytest.approx(reader.predict(text), abs=1e-5)


def test_an_unknown_character_and_a_megabyte_are_judged(reader):
    for text in ("日本 sea", "the sea\r\nwas good", "bad " * 250_000):
        assert sum(reader.predict(text).values()) == pytest.approx(1)


def test_d14_a_text_of_which_nothing_is_known_gets_no_verdict(reader):
    for text in ("日本", "日本 \n", "", " "):
        with pytest.raises(ChargenError, match="there is no verdict"):
            reader.predict(text)
        with pytest.raises(ChargenError, match="there is no verdict"):
            reader.explain(text)
    several = list(reader.predict_many(["the sea", "日本", "", "bad"], batch=2))
    assert [bool(classes) for classes in several] == [True, False, False, True]
    assert several[3] == pytest.approx(reader.predict("bad"))
    assert list(reader.predict_many(["", "日本"])) == [{}, {}]


def test_d14_it_says_how_much_of_the_texts_it_reads(moods):
    reader = TextClassifier.new(moods, hidden_size=8, max_length=20)
    coverage = reader.coverage(["bad", "the sea was bad again", "日本 é", "日本"])
    assert coverage == Coverage(4, cut=1, characters=30, unknown=4, blank=1)
    assert coverage.notes(reader.longest) == [
        "1 of 4 texts is longer than 20 characters: the rest is not read",
        "4 of 30 characters are unknown to the model and left out",
        "1 of 4 texts holds no character that the model knows",
    ]
    assert reader.coverage(["bad"]).notes(reader.longest) == []
    first, second, *_ = reader.train(moods, steps=3)
    assert (
        first.remark
        == f"{len(moods)} of 240 texts are longer than 20 characters: the rest is not read"
    )
    assert second.remark == ""


def test_held_out_texts_that_are_training_texts_too_are_told(moods):
    texts = [f"{text} {index}" for index, text in enumerate(moods.texts)]
    once = Labelled(texts, moods.labels)
    again = Labelled(["the same words", *texts[1:]] * 2, [moods.labels[0], *moods.labels[1:]] * 2)

    def remark(data, validation=None):
        reader = TextClassifier.new(data, hidden_size=8, wide=False)
        return next(reader.train(data, validation, steps=1)).remark

    assert remark(once) == ""
    assert re.match(
        r"\d\d% of the held-out texts are also training texts: on new texts, the", remark(again)
    )
    assert remark(once, once).startswith("100% of the held-out texts are")


def test_d12_validation_by_unknown_labels_is_no_divergence(moods):
    reader = TextClassifier.new(moods, hidden_size=8)
    with pytest.raises(ChargenError, match="none of the labels of other occurs in training: 'x', 'y'"):
        reader.train(moods, Labelled(moods.texts, ["x", "y"] * 120, "other"), steps=3)
    other = Labelled(moods.texts, ["x"] * 239 + ["sad"], "other")
    steps = list(reader.train(moods, other, steps=3))
    assert "239 texts of other have labels that do not occur in training" in steps[0].remark
    assert steps[-1].score.accuracy <= 1 / 240
    assert not any("diverged" in step.remark or "broke" in step.remark for step in steps)


def test_a_saved_classifier_judges_as_before(reader, moods, tmp_path):
    reader.save(tmp_path / "moods")
    again = TextClassifier.load(tmp_path / "moods")
    assert again.classes == ["glad", "sad"]
    assert again.predict(moods.texts[0]) == reader.predict(moods.texts[0])
    assert again.record.scores == reader.record.scores


def test_generators_and_classifiers_are_not_taken_for_each_other(reader, poet, tmp_path):
    reader.save(tmp_path / "moods")
    poet.save(tmp_path / "poet")
    with pytest.raises(ChargenError, match="holds a 'classifier', not a 'language-model'"):
        TextGenerator.load(tmp_path / "moods")
    with pytest.raises(ChargenError, match="holds a 'language-model', not a 'classifier'"):
        TextClassifier.load(tmp_path / "poet")


@pytest.mark.parametrize(
    "lie",
    [
        {"classes": ["one"]},
        {"classes": ["one", "one"]},
        {"classes": 7},
        {"classes": [1, 2]},
        {"max_length": 0},
        {"max_length": "long"},
    ],
)
def test_a_classifier_that_lies_is_refused(reader, tmp_path, sign, lie):
    reader.save(tmp_path / "moods")
    path = tmp_path / "moods" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | lie))
    sign(tmp_path / "moods")
    with pytest.raises(ChargenError, match="is damaged"):
        TextClassifier.load(tmp_path / "moods")


def test_measuring_knows_labels_that_are_no_classes(reader, moods):
    strange = Labelled(moods.texts[:4], ["glad", "sad", "bored", "glad"], "strange")
    score = reader.evaluate(strange)
    assert score.labels.tolist() == [0, 1, -1, 0]
    assert score.accuracy <= 0.75


def test_training_on_a_class_that_is_not_there_is_an_error(reader, moods):
    with pytest.raises(ChargenError, match="no class 'bored'"):
        reader.train(Labelled(["x"] * 9, ["bored"] * 9, "new"), steps=1)


def test_a_classifier_begins_with_what_a_generator_has_learned(moods, verse):
    writer = TextGenerator.new(verse + "".join(moods.texts), hidden_size=16)
    reader = TextClassifier.from_generator(writer, moods)
    assert reader.tokenizer is writer.tokenizer
    for (name, a), (_, b) in zip(
        writer.model.stack.named_parameters(), reader.model.stack.named_parameters(), strict=True
    ):
        assert torch.equal(a, b), name
    assert torch.equal(reader.model.reader.weight, writer.model.head.weight)
    before = [weight.clone() for weight in reader.model.stack.parameters()]
    moved = {}
    for share in (1.0, 0.1):
        reader = TextClassifier.from_generator(writer, moods)
        next(reader.train(moods, steps=50, stack_share=share))
        moved[share] = sum(
            float((a - b).detach().abs().sum())
            for a, b in zip(before, reader.model.stack.parameters(), strict=True)
        )
    assert moved[0.1] == pytest.approx(moved[1.0] / 10, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_an_explanation_has_a_weight_for_every_character(moods, pooling):
    reader = TextClassifier.new(moods, hidden_size=24, embedding_size=16, pooling=pooling, dropout=0.1)
    for _ in reader.train(moods, steps=150):
        pass
    text = "the sea was bad again 7"
    found, weights = reader.explain(text)
    assert found == pytest.approx(reader.predict(text))
    assert "".join(piece for piece, _ in weights) == text
    if pooling == "attention":
        assert 0 < sum(weight for _, weight in weights) <= 1 + 1e-6
    else:
        told = [weight for _, weight in weights]
        assert max(told[12:15]) == max(told)  # of "bad"


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_g13_an_explanation_reads_its_text_on_the_device_of_the_model(moods, pooling):
    """The device "meta" computes shapes alone, up to where a result comes back to the CPU."""
    reader = TextClassifier.new(moods, hidden_size=8, pooling=pooling)
    reader.model.to("meta")
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        reader.explain("the sea was bad again 7")


def test_a_wide_classifier_adds_the_logits_of_both_parts(moods, tmp_path):
    reader = TextClassifier.new(moods, hidden_size=8).fit(moods, steps=20)
    text = "the sea was bad"
    ids = torch.from_numpy(reader._encode(text)[0].astype(np.int64))[:, None]
    with torch.no_grad():
        network = reader.model(ids, torch.tensor([len(ids)]))[0]
    both = (network + reader.linear.logits([text])).softmax(-1)[0]
    assert [reader.predict(text)[name] for name in reader.classes] == pytest.approx(both.tolist())
    reader.save(tmp_path / "wide")
    assert json.loads((tmp_path / "wide/config.json").read_text())["format"] == 2
    loaded = TextClassifier.load(tmp_path / "wide")
    assert loaded.predict(text) == reader.predict(text)
    assert loaded.record.scores["ngrams"] == reader.record.scores["ngrams"]


def test_a_classifier_that_is_not_wide_has_the_network_alone(moods, tmp_path):
    reader = TextClassifier.new(moods, hidden_size=8, wide=False).fit(moods, steps=5)
    assert reader.linear is None
    assert reader.record.scores["ngrams"]["accuracy"] == 1.0  # the baseline is measured all the same
    reader.save(tmp_path / "deep")
    assert json.loads((tmp_path / "deep/config.json").read_text())["format"] == 1
    assert not (tmp_path / "deep/ngrams.safetensors").exists()
    assert TextClassifier.load(tmp_path / "deep").predict("bad") == reader.predict("bad")


@pytest.mark.parametrize("damage", ["order", "shape", "nan", "bytes"])
def test_a_damaged_linear_part_is_refused(moods, tmp_path, damage):
    reader = TextClassifier.new(moods, hidden_size=8).fit(moods, steps=1)
    linear = reader.linear
    weights = linear.weights.clone()
    if damage == "order":
        linear = replace(linear, hashes=linear.hashes[::-1].copy())
    elif damage == "shape":
        linear = replace(linear, weights=weights[:-1])
    elif damage == "nan":
        weights[0] = math.nan
        linear = replace(linear, weights=weights)
    reader.linear = linear
    reader.save(tmp_path / "bad")
    if damage == "bytes":
        path = tmp_path / "bad/ngrams.safetensors"
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ChargenError, match=r"ngrams\.safetensors"):
        TextClassifier.load(tmp_path / "bad")


def test_without_a_budget_the_epochs_suit_the_texts(moods):
    reader = TextClassifier.new(moods, hidden_size=8)
    next(reader.train(moods))
    assert reader.record.training["minutes"] is None
    assert 1 < reader.record.training["epochs"] < 12  # crops are read, too


# The command ------------------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path, moods):
    rows = [f"{label}\t{text}" for label, text in zip(moods.labels, moods.texts, strict=True)]
    (tmp_path / "moods.tsv").write_text("mood\ttext\n" + "\n".join(rows) + "\n")
    return "moods.tsv"


def test_train_predict_and_eval_by_the_command(run, table):
    status, out, err = run("classify", "train", table, "--header", *QUICK[2:], "--steps", 60, "--json")
    assert status == 0, err
    record = json.loads(out)
    assert record["checkpoint"] == "checkpoints/moods"
    assert record["ngrams"]["accuracy"] == 1.0
    assert "n-grams alone: accuracy 100.0%" in err
    assert {"accuracy", "macro_f1", "calibration_error", "classes", "confusion"} <= set(record)
    assert record["classes"] == ["glad", "sad"]
    assert "note: tab-separated, header: mood, text" in err
    assert "240 texts in 2 classes" in err

    status, out, err = run("classify", "predict", "the sea was bad", "the sea was good")
    assert status == 0, err
    assert len(out.splitlines()) == 2
    assert "model: checkpoints/moods" in err
    _, piped, _ = run("classify", "predict", stdin="the sea was bad\nthe sea was good\n")
    assert piped == out
    _, out, _ = run("classify", "predict", "--json", "--explain", "the sea was bad")
    (found,) = json.loads(out)["texts"]
    assert found["text"] == "the sea was bad"
    assert set(found["classes"]) == {"glad", "sad"}
    assert len(found["weights"]) == len("the sea was bad")
    network, ngrams = found["parts"]["network"], found["parts"]["ngrams"]
    sums = [one + other for (_, one), (_, other) in zip(network, ngrams, strict=True)]
    assert [weight for _, weight in found["weights"]] == pytest.approx(sums)
    status, out, _ = run("classify", "predict", "--explain", "the sea was bad")
    assert len(out.splitlines()) == 4
    assert out.splitlines()[2].endswith("  network")
    assert out.splitlines()[3].endswith("  n-grams")

    status, out, _ = run("classify", "eval", table, "--header", "--json")
    assert status == 0
    assert np.sum(json.loads(out)["confusion"]) == 240
    status, out, _ = run("classify", "eval", table, "--header")
    assert "accuracy" in out
    assert "taken for" in out
    # Neither kind of model is taken for the other.
    assert "starter model" in run("sample", "-n", 3)[2]


def test_eval_shows_lengths_crops_mistakes_and_the_share_that_is_answered(
    reader, run, moods, tmp_path
):
    reader.save(tmp_path / "moods")
    texts, labels = [*moods.texts, "a bad\tday 1"], [*moods.labels, "glad"]
    table = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
    (tmp_path / "wrong.json").write_text(json.dumps(table))
    command = ["classify", "eval", "wrong.json", "-m", "moods"]
    status, out, err = run(*command, "--crops", "--at-least", 0.9, "--json")
    assert status == 0, err
    record = json.loads(out)
    assert [one["words"] for one in record["by_length"]] == ["3-5", "6-10"]
    assert [one["texts"] for one in record["by_length"]] == [1, 240]
    first = record["mistakes"][0]
    assert first["text"] == "a bad\tday 1"
    assert (first["label"], first["prediction"]) == ("glad", "sad")
    assert first["confidence"] == pytest.approx(reader.predict("a bad\tday 1")["sad"], abs=1e-5)
    assert set(record["crops"]) == {"pairs", "words"}
    assert all(set(one) == {"texts", "accuracy", "macro_f1"} for one in record["crops"].values())
    assert record["answered"]["at_least"] == 0.9
    assert 0.9 < record["answered"]["accuracy"] <= 1

    status, out, _ = run(*command, "--crops", "--at-least", 1)
    assert "at least 1 sure: 0.0% of the texts get an answer\n" in out
    assert re.search(r"^  6-10 +240 +\d+\.\d%$", out, re.MULTILINE)
    assert re.search(r"^  single words +\d+ +\d+\.\d%  macro-F1 \d\.\d{3}$", out, re.MULTILINE)
    assert re.search(r"^  \d\.\d\d  sad +glad   a bad day 1$", out, re.MULTILINE)
    status, out, _ = run(*command, "--mistakes", 0, "--json")
    record = json.loads(out)
    assert record["mistakes"] == []
    assert not {"crops", "answered"} & set(record)
    assert "mistakes" not in run(*command, "--mistakes", 0)[1]


def test_crops_of_texts_without_words_are_none(reader, run, tmp_path):
    reader.save(tmp_path / "moods")
    (tmp_path / "numbers.csv").write_text("text,label\n" + "1 2,glad\n3 4 5,sad\n" * 3)
    command = ["classify", "eval", "numbers.csv", "-m", "moods", "--crops"]
    status, out, err = run(*command, "--json")
    assert status == 0, err
    assert json.loads(out)["crops"]["words"] == {"texts": 0, "accuracy": None, "macro_f1": None}
    assert "single words" not in run(*command)[1]


def test_an_unsure_prediction_is_unknown_and_its_classes_follow(reader, run, tmp_path):
    reader.save(tmp_path / "moods")
    texts = ["the sea was bad", "e", "日本"]
    surest = max(reader.predict("e").values())
    predict = ["classify", "predict", "-m", "moods", *texts]
    _, plain, _ = run(*predict)
    status, out, err = run(*predict, "--at-least", surest + 0.001)
    assert status == 0, err
    first, second, third = plain.splitlines()
    assert out.splitlines() == [first, f"unknown  {second}", third]
    _, out, _ = run(*predict, "--at-least", surest + 0.001, "--json")
    assert [one["answer"] for one in json.loads(out)["texts"]] == ["sad", None, None]
    assert [one["unknown"] for one in json.loads(out)["texts"]] == [0, 0, 2]  # characters
    assert run(*predict, "--at-least", 0)[1] == plain
    status, _, err = run(*predict, "--at-least", 60)
    assert status == 2
    assert "60.0 is not in the range 0<=x<=1" in err


def test_without_data_languages_are_learned(run):
    status, _, err = run("classify", "train", *QUICK)
    assert status == 0
    assert "tell languages apart" in err
    assert "16 classes" in err
    assert run("classify", "predict", "où est la gare ?")[0] == 0


def test_from_a_generator_by_the_command(run, table, poet, tmp_path):
    poet.save(tmp_path / "poet")
    train = ["classify", "train", table, "--header", "--from", "poet", "--steps", 2]
    assert run(*train)[0] == 0
    status, _, err = run(*train, "--hidden", 8, "-o", "other")
    assert status == 2
    assert "--hidden comes from the generator" in err


@pytest.mark.slow
def test_compare_and_probe_by_the_command(run, table, poet, tmp_path):
    compare = ["classify", "compare", table, "--header", "--hidden", 8, "--minutes", 0.005]
    status, out, err = run(*compare, "--cells", "rnn,lstm", "--layers", "1", "--json")
    assert status == 0, err
    rows = json.loads(out)["rows"]
    assert [(row["cell"], row["bidirectional"]) for row in rows] == [
        *(("rnn", False), ("rnn", True)),
        *(("lstm", False), ("lstm", True)),
    ]
    assert run(*compare, "--cells", "rnn,xyz")[0] == 2
    poet.save(tmp_path / "poet")
    status, out, _ = run("classify", "probe", table, "--header", "-m", "poet")
    assert status == 0
    assert "one component" in out
    status, out, _ = run("classify", "probe", table, "--header", "-m", "poet", "--json")
    assert set(json.loads(out)) == {"accuracy", "macro_f1", "largest_class", "component"}


def test_curve_by_the_command(run, table, tmp_path):
    curve = ["classify", "curve", table, "--header", "--hidden", 8, "--epochs", 1]
    status, out, err = run(*curve, "--json")
    assert status == 0, err
    record = json.loads(out)
    assert set(record) == {"minutes", "epochs", "held_out", "rows", "more_texts_help"}
    assert [row["texts"] for row in record["rows"]] == [22, 66, 216]
    assert [row["steps"] for row in record["rows"]] == [21, 20, 64]  # crops are read, too
    assert (record["epochs"], record["minutes"], record["held_out"]) == (1, None, 24)
    status, out, err = run(*curve)
    assert re.match(r"share    texts    steps  accuracy  macro-F1\n  10% +22 +21 +\d", out)
    assert "more texts would" in out.splitlines()[-1]
    assert not (tmp_path / "checkpoints").exists()
    assert run(*curve, "--minutes", 1)[0] == 2
    status, _, err = run(*curve, "--val-fraction", 0)
    assert status == 2
    assert "nothing to validate on" in err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["train", "nowhere.csv"], 2, "no file or folder"),
        (["train", "one.csv"], 1, "all texts have the label 'a'"),
        (["train", "bad.csv"], 1, "line 3: the label is empty"),
        (
            ["train", "moods.tsv", "--label", "x", "--header"],
            1,
            "no column 'x'; there are: mood, text",
        ),
        (["train", "moods.tsv", "--epochs", "1", "--steps", "1"], 2, "one budget"),
        (["train", "moods.tsv", "--pooling", "best"], 2, "pooling"),
        (["train", "moods.tsv", "--from", "nowhere"], 1, "no model in nowhere"),
        (["predict", "text"], 1, "no classifier under ./checkpoints; make one with: chargen classify"),
        (["predict", "-m", "nowhere", "text"], 1, "no model in nowhere"),
        (["eval"], 2, "DATA"),
        (["eval", "moods.tsv"], 1, "no classifier under"),
        (["dance"], 2, "dance"),
    ],
)
def test_what_a_person_gets_wrong_is_one_plain_message(
    run, table, tmp_path, arguments, status, message
):
    (tmp_path / "one.csv").write_text("a,x\n" * 9)
    (tmp_path / "bad.csv").write_text("a,x\nb,y\n,z\na,w\n")
    found, out, err = run("classify", *arguments)
    assert found == status
    assert message in err
    assert out == ""
    assert not (tmp_path / "checkpoints").exists()


def test_classes_of_very_different_size_and_with_one_example(run, tmp_path):
    rows = ["Greek\tPapas"] + ["Irish\tO'Neill"] * 5 + [f"Russian\tIvanov{i}" for i in range(200)]
    (tmp_path / "names.tsv").write_text("\n".join(rows))
    train = ["classify", "train", "names.tsv", "--no-header", "--balance", *QUICK, "--json"]
    status, out, err = run(*train)
    assert status == 0, err
    record = json.loads(out)
    assert record["classes"] == ["Greek", "Irish", "Russian"]
    assert 0 <= record["macro_f1"] <= 1


@pytest.mark.slow
def test_thousands_of_classes(run, tmp_path):
    rows = [f"c{i % 5000}\ttext number {i}" for i in range(10_000)]
    (tmp_path / "many.tsv").write_text("\n".join(rows))
    status, _, err = run("classify", "train", "many.tsv", *QUICK)
    assert status == 0, err
    assert "5,000 classes" in err
    assert "too many texts and classes for n-grams: the network classifies alone" in err
    assert "classes that do better" in err


def test_d2_the_separator_is_an_option_of_all_that_read_a_table(run, tmp_path, moods):
    rows = [f"{label}:{text}" for label, text in zip(moods.labels, moods.texts, strict=True)]
    (tmp_path / "moods.txt").write_text("\n".join(rows))
    status, _, err = run("classify", "train", "moods.txt", *QUICK)
    assert status == 1
    assert "has one column, but a text and its label are needed" in err
    assert "name the --separator" in err
    status, _, err = run("classify", "train", "moods.txt", "--separator", ":", *QUICK)
    assert status == 0, err
    assert "note: ':'-separated, no header" in err
    assert "for example: label 'glad', text 'the " in err
    assert run("classify", "eval", "moods.txt", "--separator", ":", "--json")[0] == 0
    status, _, err = run("classify", "eval", "moods.txt", "--separator", "::")
    assert status == 1
    assert "the separator '::' is not one character; set --separator to tab, comma" in err


def test_d12_a_validation_file_of_other_labels_is_one_message(run, table, tmp_path):
    (tmp_path / "other.csv").write_text("label,text\nhappy,a\nunhappy,b\nhappy,c\n")
    train = ["classify", "train", table, "--header", *QUICK, "--val"]
    status, _, err = run(*train, "other.csv")
    assert status == 1
    assert "none of the labels of other occurs in training: 'happy', 'unhappy'; in training" in err
    assert "name the column of the labels with --label" in err
    assert "nan" not in err
    (tmp_path / "some.csv").write_text("label,text\nhappy,a\nsad,b\nhappy,c\n")
    status, _, err = run(*train, "some.csv")
    assert status == 0, err
    assert (
        "2 texts of some have labels that do not occur in training, and count as wrong: 'happy'" in err
    )


def test_d14_what_is_not_read_is_said_in_training_and_prediction(run, table, tmp_path):
    status, _, err = run("classify", "train", table, "--header", *QUICK, "--max-length", 20)
    assert status == 0, err
    assert "texts are longer than 20 characters: the rest is not read" in err
    assert run("classify", "eval", table, "--header", "--json")[2].count("longer than 20") == 1
    status, out, err = run(
        "classify", "predict", "the sea was bad, and bad again", "日本", "", "日 sea"
    )
    assert status == 0
    lines = out.splitlines()
    assert lines[1] == "no verdict: the classifier knows none of its characters\t日本"
    assert lines[2] == "no verdict: the text is empty\t"
    assert lines[3].endswith("\t日 sea")
    assert "verdict" not in lines[0] + lines[3]
    assert "note: 1 of 4 texts is longer than 20 characters: the rest is not read" in err
    assert "characters are unknown to the model and left out" in err
    assert run("classify", "predict", "--explain", "日本")[1].startswith("no verdict")
    _, out, _ = run("classify", "predict", "--json", "日本", "the sea")
    nothing, something = json.loads(out)["texts"]
    assert (nothing["classes"], nothing["unknown"], nothing["cut"]) == ({}, 2, False)
    assert set(something["classes"]) == {"glad", "sad"}
    _, out, _ = run("classify", "predict", "--json", "--explain", "日本")
    assert json.loads(out)["texts"][0]["weights"] == []


def test_d15_labels_of_any_characters_can_be_told_apart(run, tmp_path):
    labels = ["New York", "a, b", "3", "0.50", "plain", 'say "x"', "two  spaces"]
    rows = [{"label": labels[i % 7], "text": f"text {i}"} for i in range(70)]
    (tmp_path / "odd.json").write_text(json.dumps(rows))
    status, _, err = run("classify", "train", "odd.json", *QUICK)
    assert status == 0, err
    assert '"New York" 10' in err
    status, out, _ = run("classify", "predict", "--top", 7, "text")
    found = re.findall(r'("(?:[^"\\]|\\.)*"|\S+) \d\.\d\d(?:  |$)', out.strip())
    assert sorted(json.loads(one) if one[0] == '"' else one for one in found) == sorted(labels)
    _, out, _ = run("classify", "eval", "odd.json")
    assert re.search(r'^  "3" +\d', out, re.MULTILINE)
    assert re.search(r"^  plain +\d", out, re.MULTILINE)


def test_the_command_prints_what_predict_many_yields(reader, run, moods, tmp_path):
    reader.save(tmp_path / "moods")
    texts = [*moods.texts, "", "日本", "été \t sea"]
    (tmp_path / "lines.txt").write_text("\n".join(texts), encoding="utf-8")
    status, out, _ = run("classify", "predict", "-m", "moods", "--file", "lines.txt", "--top", 1)
    assert status == 0
    for text, line, classes in zip(
        texts, out.split("\n")[:-1], reader.predict_many(texts), strict=True
    ):
        verdict, _, shown = line.partition("\t")
        assert shown == text
        if classes:
            name, probability = next(iter(classes.items()))
            assert verdict == f"{name} {probability:.2f}"
        else:
            assert verdict.startswith("no verdict: ")


@pytest.mark.slow
def test_d16_a_program_that_keeps_it_open_gets_each_answer_at_once(reader, start, tmp_path):
    reader.save(tmp_path / "moods")
    with start("classify", "predict", "-m", "moods", stdin=-1, bufsize=1) as process:
        for line in ("the sea was bad", "the bird was good"):
            process.stdin.write(line + "\n")
            process.stdin.flush()
            assert process.stdout.readline().endswith(f"\t{line}\n")
        rest, _ = process.communicate("one\ntwo", timeout=60)
        assert [answer.split("\t")[1] for answer in rest.splitlines()] == ["one", "two"]


def test_d16_lines_before_a_fault_are_answered(reader, run, tmp_path):
    reader.save(tmp_path / "moods")
    text = b"\xef\xbb\xbfthe sea\r\n" + b"bad " * 50_000 + b"\n\xff\n"
    (tmp_path / "lines.txt").write_bytes(text)
    status, out, err = run("classify", "predict", "-m", "moods", "--file", "lines.txt")
    assert status == 1
    assert "line 3 is not UTF-8" in err
    assert [line.split("\t")[1][:7] for line in out.splitlines()] == ["the sea", "bad bad"]


def test_d18_each_decision_of_a_training_is_said_with_its_option(run, table):
    status, _, err = run("classify", "train", table, "--header", *QUICK, "--batch", 100)
    assert status == 0, err
    for decision in (
        "validated on 10% of each class (--val-fraction, --val)",
        "lstm 2 × 8, mean pooling, ",
        "reads up to 1,000 characters of each text (--max-length)",
        "3 steps (--minutes, --epochs, --steps), 54 texts a step, at most a quarter of all (--batch)",
        "learning rate 0.004 (--lr), dropout 0.3 (--dropout), every text weighs the same (--balance)",
        "seed 0 (--seed), on cpu (--device)",
    ):
        assert decision in err


# Training in Python -------------------------------------------------------------------------------


def test_n11_fit_trains_to_the_end_and_returns_the_classifier(moods):
    by_loop = TextClassifier.new(moods, hidden_size=8)
    for _ in by_loop.train(moods, steps=5):
        pass
    reader = TextClassifier.new(moods, hidden_size=8)
    assert reader.fit(moods, steps=5) is reader
    assert reader.record.training == by_loop.record.training
    assert reader.predict("the sea was bad") == by_loop.predict("the sea was bad")


def test_n11_fit_takes_what_train_takes():
    fit, train = (
        inspect.signature(method).parameters for method in (TextClassifier.fit, TextClassifier.train)
    )
    assert {k: p.default for k, p in fit.items()} == {k: p.default for k, p in train.items()}


def test_texts_that_are_held_out_beforehand_are_those_that_training_holds_out(moods):
    by_itself = TextClassifier.new(moods, hidden_size=8).fit(moods, steps=3)
    beforehand = TextClassifier.new(moods, hidden_size=8).fit(*moods.split(), steps=3)
    assert beforehand.predict("the sea") == by_itself.predict("the sea")
    assert vars(beforehand.record.corpus) == vars(by_itself.record.corpus)
    assert beforehand.record.scores["accuracy"] == by_itself.record.scores["accuracy"]


def test_n11_a_training_without_a_loop_changes_nothing(moods):
    reader = TextClassifier.new(moods, hidden_size=8)
    record = copy.deepcopy(reader.record)
    weights = copy.deepcopy(reader.model.state_dict())
    reader.train(moods, steps=5)
    assert reader.record == record
    assert all(torch.equal(weights[name], new) for name, new in reader.model.state_dict().items())


def test_n12_the_loss_of_a_classifier_is_that_of_its_classes(moods):
    reader = TextClassifier.new(moods, hidden_size=8, wide=False)
    steps = list(reader.train(moods, steps=60, seed=0))
    # An untrained classifier predicts uniformly: log 2 nats per text, whatever it reads beside.
    assert steps[0].loss == pytest.approx(math.log(2), abs=0.01)
    assert all(0 < step.mean_loss < 1 for step in steps)
    assert steps[-1].loss == steps[-2].loss


def test_n4_a_classifier_predicts_with_the_weights_that_it_has(moods):
    reader = TextClassifier.new(moods, hidden_size=8)
    before = reader.predict("the sea was bad")
    with torch.no_grad():
        reader.model.head.bias += torch.tensor([3.0, 0.0])
    assert reader.predict("the sea was bad") != before


@pytest.mark.slow
def test_n18_the_built_in_task_has_a_budget_that_no_slow_hour_changes(run, monkeypatch):
    monkeypatch.setattr("chargen.training.labelled.choose_epochs", lambda *tokens: 0.01)
    status, out, err = run("classify", "train", "--json")
    assert status == 0, err
    assert "training for 0.01 epochs (--minutes, --epochs, --steps)" in err
    assert 1 <= json.loads(out)["steps"] <= 20
