"""Names of upstreams: what each stands for, and that the built-in ones keep the contract."""

from __future__ import annotations

from functools import partial

import pytest

from tests.contracts.upstream import UpstreamContract
from unsup_asr.protocols import Upstream
from unsup_asr.upstreams import registry
from unsup_asr.upstreams.registry import (
    BUILT_IN,
    by_name,
    describe_upstream,
    names,
)


@pytest.mark.parametrize("name", ["kaldi_mfcc", "kaldi_fbank"])
class TestContract(UpstreamContract):
    @pytest.fixture(autouse=True)
    def named(self, name: str) -> None:
        self.name = name

    def make(self) -> Upstream:
        return by_name(self.name)()


def test_every_name_stands_for_its_own_model():
    found = {name: by_name(name) for name in BUILT_IN}
    named = {name: x.keywords["model"] for name, x in found.items() if isinstance(x, partial)}
    assert all(name == model for name, model in named.items())
    assert set(found) - set(named) == {"kaldi_mfcc", "kaldi_fbank", "fairseq_checkpoint"}
    superb_talk = {
        "wav2vec2_base",
        "wav2vec2_large",
        "wav2vec2_large_lv60k",
        "xlsr_53",
        "hubert_base",
        "hubert_large",
        "wavlm_base",
        "wavlm_base_plus",
        "wavlm_large",
        "data2vec_audio_base",
        "distilhubert",
        "torchaudio_wav2vec2_base",
        "torchaudio_hubert_large",
        "torchaudio_wavlm_large",
        "apc",
        "vq_apc",
        "npc",
        "mockingjay",
        "tera",
        "decoar2",
        "modified_cpc",
        "wav2vec",
        "vq_wav2vec",
        "pase_plus",
        "s3prl_fbank",
    }
    assert superb_talk <= set(names())


def test_a_name_says_where_it_comes_from_and_what_is_missing(monkeypatch: pytest.MonkeyPatch):
    assert describe_upstream("kaldi_mfcc") == "built in"
    assert describe_upstream("torchaudio_wavlm_base") == "torchaudio.pipelines.WAVLM_BASE"
    assert describe_upstream("wavlm_base") == "microsoft/wavlm-base"
    assert describe_upstream("pase_plus").endswith("(docs/add-an-upstream.md)")
    monkeypatch.setattr(registry, "find_spec", lambda _: None)
    assert describe_upstream("tera") == (
        "s3prl.upstream.tera; needs pip install 'unsup-asr[s3prl]'"
    )
