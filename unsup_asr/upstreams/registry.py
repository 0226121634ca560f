"""Upstreams by name: those of this package and those other packages install.

A recipe names one by `_target_: wavlm_base`. Another package adds one through the entry-point
group `unsup_asr.upstreams`:

    [project.entry-points."unsup_asr.upstreams"]
    my_upstream = "my_package.module:MyUpstream"
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec

from unsup_asr.protocols import Upstream
from unsup_asr.upstreams.s3prl_hub import EXPERTS
from unsup_asr.upstreams.torchaudio_bundle import BUNDLES
from unsup_asr.upstreams.transformers_hub import HUB_IDS

GROUP = "unsup_asr.upstreams"
FAIRSEQ = "fairseq_checkpoint"

_ADAPTERS = "unsup_asr.upstreams"
BUILT_IN = {
    "kaldi_mfcc": f"{_ADAPTERS}.kaldi_features:KaldiMFCC",
    "kaldi_fbank": f"{_ADAPTERS}.kaldi_features:KaldiFbank",
    FAIRSEQ: f"{_ADAPTERS}.fairseq_file:FairseqUpstream",
    **dict.fromkeys(HUB_IDS, f"{_ADAPTERS}.transformers_hub:TransformersUpstream"),
    **dict.fromkeys(BUNDLES, f"{_ADAPTERS}.torchaudio_bundle:TorchaudioUpstream"),
    **dict.fromkeys(EXPERTS, f"{_ADAPTERS}.s3prl_hub:S3prlUpstream"),
}
# Names that stand for a class with this `model`.
_MODELS = {*HUB_IDS, *BUNDLES, *EXPERTS}


def names() -> list[str]:
    """Names that `by_name` knows, sorted."""
    return sorted(_installed())


def by_name(name: str) -> Callable[..., Upstream]:
    """The class of the upstream, or the class with the name's options; call it with the rest."""
    installed = _installed()
    if name not in installed:
        raise ValueError(
            f"no upstream named {name!r}. Installed: {', '.join(sorted(installed))}. "
            f"A package adds one with an entry point in the group {GROUP!r}; "
            "a recipe can name any class by upstream._target_"
        )
    found = installed[name].load()
    return partial(found, model=name) if name in _MODELS else found


def describe_upstream(name: str) -> str:
    """Where an upstream's weights come from and, where a package is missing, how to get it."""
    if name in HUB_IDS:
        return _read_by("transformers", HUB_IDS[name])
    if name == FAIRSEQ:
        return _read_by("transformers", "a .pt file of fairseq: wav2vec 2.0, XLSR, HuBERT")
    if name in BUNDLES:
        return _read_by("torchaudio", f"torchaudio.pipelines.{BUNDLES[name]}")
    if name == "pase_plus" and find_spec("pase") is None:
        return "s3prl.upstream.pase; needs the package pase (docs/add-an-upstream.md)"
    if name in EXPERTS:
        return _read_by("s3prl", f"s3prl.upstream.{EXPERTS[name].module}")
    if name in BUILT_IN:
        return "built in"
    return _installed()[name].value


def _read_by(package: str, origin: str) -> str:
    if find_spec(package) is None:
        return f"{origin}; needs pip install 'unsup-asr[{package}]'"
    return origin


def _installed() -> dict[str, EntryPoint]:
    installed = {name: EntryPoint(name, value, GROUP) for name, value in BUILT_IN.items()}
    for entry in entry_points(group=GROUP):
        known = installed.get(entry.name)
        if known is not None and known.value != entry.value:
            raise ValueError(
                f"two upstreams are named {entry.name!r}: {known.value} and {entry.value}; "
                "uninstall one of the packages, or name the class by upstream._target_"
            )
        installed[entry.name] = entry
    return installed
