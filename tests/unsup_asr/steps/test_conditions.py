"""What is said of how a run was scored."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from unsup_asr.steps.conditions import audio_digest, decodings, phone_fold, silence_policy
from unsup_asr.types import Transcript, Utterance

UTTERANCES = [Utterance("u1", "a.flac", "s1", 1.5), Utterance("u2", "b.flac", "s2", 2.25)]


def test_recordings_have_one_digest_in_any_order_and_wherever_they_lie():
    moved = [replace(u, audio=f"elsewhere/{9 - i}.flac") for i, u in enumerate(UTTERANCES)]
    assert audio_digest(UTTERANCES) == audio_digest(reversed(moved))
    assert len(audio_digest(UTTERANCES)) == 12


@pytest.mark.parametrize("change", [{"duration_s": 1.501}, {"speaker": "s3"}, {"id": "u3"}])
def test_other_recordings_of_the_same_text_have_another_digest(change):
    other = [replace(UTTERANCES[0], **change), UTTERANCES[1]]
    assert audio_digest(other) != audio_digest(UTTERANCES)


def test_silence_counts_where_references_hold_it():
    assert silence_policy([Transcript("u", ("k", "æ", "t"))]) == "not counted"
    assert silence_policy([Transcript("u", ("sil", "k", "sil"))]) == "sil counted"


@pytest.mark.parametrize(
    ("decoder", "found"),
    [
        ({"_target_": "lm.beam.BeamDecoder", "lm_path": "phones.arpa"}, "phone LM"),
        ({"_target_": "x", "lm_path": "words.arpa", "lexicon_path": "lexicon.tsv"}, "words"),
        ({"_target_": "lm.greedy.GreedyDecoder"}, "no LM"),
    ],
)
def test_networks_were_decoded_as_the_model_says(tmp_path, decoder, found):
    (tmp_path / "model.json").write_text(json.dumps({"decoder": decoder}), "utf-8")
    context = SimpleNamespace(input=lambda _: SimpleNamespace(file=lambda name: tmp_path / name))
    rows = ("self_training_2", "supervised", "spoken_model")
    assert decodings(context, rows) == dict.fromkeys(rows, found)


def test_other_rows_were_decoded_as_their_stage_does_and_unknown_ones_say_nothing():
    rows = ["gan", "gan+lm", "realign_3", "x+words", "superb", "x"]
    assert decodings(SimpleNamespace(), rows) == {
        "gan": "no LM",
        "gan+lm": "phone LM",
        "realign_3": "words",
        "x+words": "words",
        "superb": "no LM",
        "x": "",
    }


@pytest.mark.parametrize(
    ("fold", "name"), [({"ᵻ": "ɪ", "a": "b"}, "a>b ᵻ>ɪ"), ({}, "none"), ("timit_39", "timit_39")]
)
def test_a_fold_is_named_by_its_table_or_its_pairs(fold, name):
    front_end = {"_target_": "types.SimpleNamespace", "fold": fold}
    config = OmegaConf.create({"text": {"front_end": front_end}})
    assert phone_fold(SimpleNamespace(config=config)) == name
