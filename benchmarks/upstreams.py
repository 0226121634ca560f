"""How fast upstreams of published size encode a padded batch, weights drawn at random.

    python -m benchmarks.upstreams [--kinds WavLM Hubert]

Prints seconds of audio a second of one core for each adapter. WavLM is run by torchaudio's network
wherever its weights are from: so by transformers' own too, with the largest difference. And what
running the convolutions at each utterance's length costs beside running them on the padded batch,
which would let padding leak.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from torchaudio import pipelines
from torchaudio.models import wav2vec2_model, wavlm_model

from unsup_asr.protocols import Upstream
from unsup_asr.upstreams import transformers_hub
from unsup_asr.upstreams.torchaudio_bundle import TorchaudioUpstream
from unsup_asr.upstreams.transformers_hub import TransformersUpstream

LENGTHS_S = (10.0, 9.5, 9.0, 8.5)
REPEATS = 3
BUNDLES = {"WavLM": "WAVLM_BASE", "Hubert": "HUBERT_BASE"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kinds", nargs="+", choices=list(BUNDLES), default=list(BUNDLES))
    kinds = parser.parse_args().kinds
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds:
            bundle = BUNDLES[kind]
            theirs = _saved_by_transformers(kind, Path(folder) / kind)
            ours = _saved_by_torchaudio(bundle, Path(folder) / f"{bundle}.pth")
            rates = {
                "transformers": _rate(theirs),
                "torchaudio": _rate(ours),
                "transformers, convolutions on the padded batch": _leaking(theirs),
            }
            if kind == "WavLM":
                usual = TransformersUpstream(checkpoint=theirs.checkpoint, normalize_waveform=False)
                rates["weights of transformers, run by torchaudio"] = _rate(usual)
                print(f"largest difference of its states: {_difference(usual, theirs):.1e}")
            for name, rate in rates.items():
                print(f"{kind} Base, {name}: {rate:.1f} s of audio a core's second")


class OwnNetwork(TransformersUpstream):
    """WavLM too is run by transformers."""

    def _is_wavlm(self) -> bool:
        return False


def _saved_by_transformers(kind: str, folder: Path) -> TransformersUpstream:
    config = getattr(transformers, f"{kind}Config")()
    getattr(transformers, f"{kind}Model")(config).save_pretrained(folder)
    return OwnNetwork(checkpoint=str(folder), normalize_waveform=False)


def _saved_by_torchaudio(name: str, path: Path) -> TorchaudioUpstream:
    bundle = getattr(pipelines, name)
    make: Callable[..., torch.nn.Module] = (
        wavlm_model if bundle._model_type == "WavLM" else wav2vec2_model
    )
    torch.save(make(**bundle._params).state_dict(), path)
    return TorchaudioUpstream(model=name, checkpoint=str(path))


def _batch() -> tuple[torch.Tensor, torch.Tensor]:
    lengths_B = torch.tensor([round(16000 * length_s) for length_s in LENGTHS_S])
    generator = torch.Generator().manual_seed(0)
    return 0.1 * torch.randn(len(lengths_B), int(lengths_B.max()), generator=generator), lengths_B


def _difference(one: Upstream, other: Upstream) -> float:
    states = (upstream.encode(*_batch()).layers_BTD for upstream in (one, other))
    return max(float((x - y).abs().max()) for x, y in zip(*states, strict=True))


def _rate(upstream: Upstream) -> float:
    waves_BN, lengths_B = _batch()
    upstream.encode(waves_BN[:, :16000], lengths_B.clamp(max=16000))
    durations = []
    for _ in range(REPEATS):
        started = time.process_time()
        upstream.encode(waves_BN, lengths_B)
        durations.append(time.process_time() - started)
    return sum(LENGTHS_S) / min(durations)


def _leaking(upstream: TransformersUpstream) -> float:
    exact = transformers_hub.EachAtItsLength.forward
    transformers_hub.EachAtItsLength.forward = lambda self, padded: self.module(padded)
    try:
        return _rate(upstream)
    finally:
        transformers_hub.EachAtItsLength.forward = exact


if __name__ == "__main__":
    main()
