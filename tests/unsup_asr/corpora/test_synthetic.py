import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import espeakng_loader
import numpy as np
import pytest
from omegaconf import OmegaConf
from omegaconf.errors import ValidationError
from phonemizer.backend import EspeakBackend
from phonemizer.backend.espeak.wrapper import EspeakWrapper
from phonemizer.separator import Separator

from unsup_asr.corpora.sentences import frequent_words, read_sentences, sample_sentences
from unsup_asr.corpora.synthetic import SyntheticCorpus
from unsup_asr.formats.hypotheses import read_transcripts, read_words
from unsup_asr.formats.manifest import read_manifest
from unsup_asr.speech.audio import check_audio
from unsup_asr.speech.espeak import Espeak, Speech, voice_variants
from unsup_asr.speech.espeak_languages import languages
from unsup_asr.speech.phones import fold_espeak

SMALL = {
    "num_train_utterances": 14,
    "num_dev_utterances": 3,
    "num_test_utterances": 5,
    "num_text_sentences": 40,
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("corpus")
    SyntheticCorpus(**SMALL).build(out)
    return out


def synthesize(text: str, voice: str, **options: int) -> Speech:
    """One sentence from a fresh espeak-ng."""
    return Espeak().speak(text, voice=voice, **options)


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("phone", "folded"),
    [
        ("ˈaɪɚ", "aɪ ɚ"),
        ("aɪə", "aɪ ə"),
        ("iə", "i ə"),
        ("əl", "ə l"),
        ("n̩", "ə n"),
        ("ɑːɹ", "ɑ ɹ"),
        ("ɜː", "ɜ"),
        ("ˌoʊ", "oʊ"),
        ("t͡ʃ", "tʃ"),
        ("ss", "s"),
        ("ʈʈʰ", "ʈʰ"),
        ("ɔ̃", "ɔ̃"),
        ("rʲ", "rʲ"),
        ("ç", "ç"),
        ("i5", "i"),
        ("ɑu˥˩", "ɑu"),
        ("ɪ^", "ɪ"),
        ("ε", "ɛ"),
        ("ʔ", "ʔ"),
        ("", ""),
        ("ˈ", ""),
        ("iɜ", "i"),
        ("ŋɜ", "ŋ"),
        ("onɡɜ", "o ŋ"),
        ("nɡ", "nɡ"),
        ("uei5", "u ei"),
        ("iouɜ", "i ou"),
        ("aɪʊ", "aɪ ʊ"),
        ("iɛɜ", "i ɛ"),
        ("ui", "ui"),
        ("uʊ", "uʊ"),
        ("ts.h", "tʂh"),
        ("i.5", "ɨ"),
        ("a.ː", "a"),
    ],
)
def test_espeak_phonemes_fold_to_one_inventory(phone: str, folded: str):
    assert fold_espeak(phone) == tuple(folded.split())


@pytest.mark.parametrize("language", ["en-us", "de", "ru"])
def test_spoken_phones_equal_phonemizers(language: str):
    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    words, probabilities = frequent_words(language, 3000)
    sentences = sample_sentences(
        words,
        probabilities,
        num_sentences=50,
        min_words=6,
        max_words=12,
        generator=np.random.default_rng(5),
    )
    backend = EspeakBackend(language, with_stress=False, language_switch="remove-flags")
    written = backend.phonemize(sentences, separator=Separator(phone=" ", word="  "), strip=True)
    espeak = Espeak()
    spoken = [
        espeak.speak(s, voice=f"{language}+m1", sample_rate=espeak.sample_rate).phones
        for s in sentences
    ]
    folded = [[p for phone in line.split() for p in fold_espeak(phone)] for line in written]
    assert spoken == [tuple(phones) for phones in folded]


def test_the_default_english_has_at_least_39_phones_and_unseen_test_voices():
    corpus = SyntheticCorpus()
    assert len(corpus.train_variants) >= 8
    assert len(corpus.test_variants) >= 2
    assert not set(corpus.train_variants) & {*corpus.dev_variants, *corpus.test_variants}
    assert {*corpus.train_variants, *corpus.dev_variants, *corpus.test_variants} <= voice_variants()
    words, _ = frequent_words("en-us", corpus.vocabulary_size)
    espeak = Espeak()
    phones: set[str] = set()
    for i in range(0, 400, 10):
        phones |= {*espeak.speak(" ".join(words[i : i + 10]), voice="en-us").phones}
    assert len(phones) >= 39


def test_the_corpus_holds_what_it_says(corpus: Path):
    summary = json.loads((corpus / "corpus.json").read_text("utf-8"))
    seen_speakers: dict[str, set[str]] = {}
    spoken: set[str] = set()
    for split, num_utterances in (("train", 14), ("dev", 3), ("test", 5)):
        utterances = read_manifest(corpus / f"{split}.jsonl")
        transcripts = read_transcripts(corpus / "references" / f"{split}.tsv")
        words = read_words(corpus / "references" / f"{split}.words.tsv")
        assert len(utterances) == summary[split]["num_utterances"] == num_utterances
        assert [u.id for u in utterances] == [t.utterance_id for t in transcripts] == [*words]
        assert all(6 <= len(sentence) <= 12 for sentence in words.values())
        for utterance, transcript in zip(utterances, transcripts, strict=True):
            assert check_audio(utterance.audio).duration_s == pytest.approx(utterance.duration_s)
            assert transcript.starts_s[0] >= 0
            assert transcript.ends_s[-1] <= utterance.duration_s + 1e-4
            assert np.all(np.array(transcript.ends_s) >= transcript.starts_s)
            assert np.all(np.diff(transcript.starts_s) >= 0)
        seen_speakers[split] = {u.speaker for u in utterances}
        spoken |= {" ".join(sentence) for sentence in words.values()}
    assert not seen_speakers["train"] & (seen_speakers["dev"] | seen_speakers["test"])
    text = (corpus / "text.txt").read_text("utf-8").splitlines()
    assert len(text) == len(set(text)) == 40
    assert not spoken & set(text)
    assert not any("transcript" in p.name or "phones" in p.read_text() for p in corpus.glob("*.j*"))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(corpus: Path, tmp_path: Path):
    SyntheticCorpus(**SMALL).build(tmp_path / "again")
    assert digests(tmp_path / "again") == digests(corpus)
    SyntheticCorpus(**SMALL, seed=1).build(tmp_path / "other")
    assert digests(tmp_path / "other")["text.txt"] != digests(corpus)["text.txt"]


def test_phones_lie_where_they_sound():
    speech = synthesize("she sees a shop", "en-us+m1", rate_wpm=140)
    assert speech.samples.dtype == np.float32
    is_hiss: dict[bool, list[float]] = {True: [], False: []}
    for phone, start_s, end_s in zip(speech.phones, speech.starts_s, speech.ends_s, strict=True):
        quarter_s = (end_s - start_s) / 4
        middle = speech.samples[
            int((start_s + quarter_s) * 16000) : int((end_s - quarter_s) * 16000)
        ]
        power = np.abs(np.fft.rfft(middle)) ** 2
        high = power[len(power) // 4 :].sum() / power.sum()  # above 2 kHz
        is_hiss[phone in ("s", "ʃ")].append(float(high))
    assert speech.phones == ("ʃ", "i", "s", "i", "z", "ɐ", "ʃ", "ɑ", "p")
    assert min(is_hiss[True]) > max(is_hiss[False][:-1])  # the last one is a stop


def test_a_pause_belongs_to_no_phone():
    speech = synthesize("well, then", "en-us")
    last_of_well = speech.phones.index("l")
    assert speech.starts_s[last_of_well + 1] - speech.ends_s[last_of_well] > 0.05


def period_samples(samples: np.ndarray) -> int:
    """Lag of the strongest autocorrelation between 60 and 400 Hz at 16 kHz."""
    lags = range(40, 267)
    return max(lags, key=lambda lag: float(np.dot(samples[:-lag], samples[lag:])))


def test_a_voice_with_random_noise_repeats_too():
    first, second = (synthesize("she sees a shop", "en-us+Reed") for _ in range(2))
    np.testing.assert_array_equal(first.samples, second.samples)


def test_speech_gets_slower_and_higher_when_asked():
    slow, fast = (synthesize("hello my friend", "en-us", rate_wpm=rate) for rate in (100, 250))
    assert len(slow.samples) > 1.8 * len(fast.samples)
    low, high = (synthesize("hello my friend", "en-us", pitch=pitch) for pitch in (10, 90))
    assert period_samples(low.samples) > 1.3 * period_samples(high.samples)
    assert synthesize("hello", "en-us", sample_rate=8000).sample_rate == 8000


def test_another_language_takes_its_sentences_from_a_text(tmp_path: Path):
    words = "habari za asubuhi rafiki yangu leo ninakwenda sokoni kununua".split()  # noqa: SIM905
    lines = [f"{a} {b}" for a in words for b in words]
    (tmp_path / "sw.txt").write_text("\n".join(lines), "utf-8")
    corpus = SyntheticCorpus(
        language="sw",
        text_path=str(tmp_path / "sw.txt"),
        num_train_utterances=3,
        num_dev_utterances=1,
        num_test_utterances=1,
    )
    corpus.build(tmp_path / "out")
    text = (tmp_path / "out" / "text.txt").read_text("utf-8").splitlines()
    assert len(text) == len(lines) - 5
    with pytest.raises(ValueError, match="81 distinct sentences; 202 are to be spoken"):
        SyntheticCorpus(
            **(vars(corpus) | {"num_train_utterances": 200}),
        ).build(tmp_path / "more")


@pytest.mark.parametrize("language", ["de", "fr-fr", "es", "ru", "ar"])
def test_frequent_words_are_of_the_languages_script(language: str):
    words, probabilities = frequent_words(language, 500)
    assert len(words) == 500
    assert probabilities.sum() == pytest.approx(1)
    assert all(word.replace("\u0301", "").isalpha() for word in words)
    is_latin = [word[0] in "abcdefghijklmnopqrstuvwxyzàáâäçèéêëîñóôöúüœß" for word in words]
    assert all(is_latin) if language in ("de", "fr-fr", "es") else not any(is_latin)
    assert language in languages()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"language": "sw"}, "no word frequencies for language 'sw'.*text_path"),
        ({"language": "en-xx"}, "espeak-ng has no language 'en-xx'.*en-us"),
        ({"train_variants": ["nobody"]}, "no variant 'nobody'.*m1"),
        ({"train_variants": ["m7"]}, r"voice variants \['m7'\] are in train_variants and"),
        ({"test_variants": []}, "test_variants is empty"),
        ({"num_dev_utterances": 0}, "num_dev_utterances is 0"),
        ({"num_text_sentences": 0}, "num_text_sentences is 0"),
        ({"min_words": 9, "max_words": 6}, "min_words is 9 and max_words 6"),
        ({"max_rate_wpm": 900, "min_rate_wpm": 900}, "rate_wpm is 900; espeak-ng takes 80 to 450"),
        (
            {"vocabulary_size": 2, "min_words": 1, "max_words": 3},
            "distinct sentences in .* draws from 2 words",
        ),
        ({"text_path": "gone.txt"}, r"gone\.txt: no such text file"),
    ],
)
def test_impossible_options_are_refused(tmp_path: Path, options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        SyntheticCorpus(**(SMALL | options)).build(tmp_path)


def test_sentences_without_a_sound_are_refused(tmp_path: Path):
    (tmp_path / "t.txt").write_text("\n".join("." * i for i in range(1, 99)), "utf-8")
    with pytest.raises(ValueError, match=r"espeak-ng says nothing for '\.+'"):
        SyntheticCorpus(**SMALL, text_path=str(tmp_path / "t.txt")).build(tmp_path / "out")


def test_an_empty_or_undecodable_text_is_refused(tmp_path: Path):
    generator = np.random.default_rng(0)
    (tmp_path / "empty.txt").write_text("\n \n")
    with pytest.raises(ValueError, match=r"empty\.txt: no sentences"):
        read_sentences(tmp_path / "empty.txt", generator=generator)
    (tmp_path / "latin1.txt").write_bytes("naïve".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin1\.txt:1: not UTF-8 \(byte 3"):
        read_sentences(tmp_path / "latin1.txt", generator=generator)


def test_a_recipes_options_are_checked_by_type():
    structured = OmegaConf.structured(SyntheticCorpus)
    assert structured.train_variants[0] == "m1"
    with pytest.raises(ValidationError):
        structured.seed = "zero"


def test_breathy_voices_say_the_same_in_processes_started_at_other_times():
    """espeak-ng seeds their noise from the clock, in whole seconds."""
    command = (
        "from unsup_asr.speech.espeak import Espeak; import hashlib; "
        "s = Espeak().speak('a breath of air', voice='en-us+f2').samples; "
        "print(hashlib.sha256(s.tobytes()).hexdigest())"
    )
    found = set()
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", command], capture_output=True, text=True, check=True
        )
        found.add(done.stdout.strip())
        time.sleep(1.1)
    assert len(found) == 1
