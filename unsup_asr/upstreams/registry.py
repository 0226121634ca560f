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

from unsup_asr.protocols import Upstream
from unsup_asr.upstreams.s3prl_hub import EXPERTS
from unsup_asr.upstreams.torchaudio_bundle import BUNDLES
from unsup_asr.upstreams.transformers_hub import HUB_IDS

GROUP = "unsup_asr.upstreams"

_ADAPTERS = "unsup_asr.upstreams"
BUILT_IN = {
    "kaldi_mfcc": f"{_ADAPTERS}.kaldi_features:KaldiMFCC",
    "kaldi_fbank": f"{_ADAPTERS}.kaldi_features:KaldiFbank",
    **dict.fromkeys(HUB_IDS, f"{_ADAPTERS}.transformers_hub:TransformersUpstream"),
    **dict.fromkeys(BUNDLES, f"{_ADAPTERS}.torchaudio_bundle:TorchaudioUpstream"),
    **dict.fromkeys(EXPERTS, f"{_ADAPTERS}.s3prl_hub:S3prlUpstream"),
}
# Options that a name stands for, beside its class.
_PRESETS: dict[str, dict[str, str]] = {
    name: {"model": name} for name in (*HUB_IDS, *BUNDLES, *EXPERTS)
}


def upstream_names() -> list[str]:
    """Names that `upstream_by_name` knows, sorted."""
    return sorted(_installed())


def upstream_by_name(name: str) -> Callable[..., Upstream]:
    """The class of the upstream, or the class with the name's options; call it with the rest."""
    installed = _installed()
    if name not in installed:
        raise ValueError(
            f"no upstream named {name!r}. Installed: {', '.join(sorted(installed))}. "
            f"A package adds one with an entry point in the group {GROUP!r}; "
            "a recipe can name any class by upstream._target_"
        )
    found = installed[name].load()
    return partial(found, **_PRESETS[name]) if name in _PRESETS else found


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
