"""What is said of how a run was scored."""

from dataclasses import replace

import pytest

from unsup_asr.steps.conditions import audio_digest, silence_policy
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
