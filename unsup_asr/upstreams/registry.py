"""Upstreams by name: those of this package and those other packages install.

Another package adds one through the entry-point group `unsup_asr.upstreams`:

    [project.entry-points."unsup_asr.upstreams"]
    my_upstream = "my_package.module:MyUpstream"
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

from unsup_asr.protocols import Upstream

GROUP = "unsup_asr.upstreams"

BUILT_IN = {
    "kaldi_mfcc": "unsup_asr.upstreams.kaldi_features:KaldiMFCC",
    "kaldi_fbank": "unsup_asr.upstreams.kaldi_features:KaldiFbank",
}


def upstream_names() -> list[str]:
    """Names that `upstream_by_name` knows, sorted."""
    return sorted(_installed())


def upstream_by_name(name: str) -> Callable[..., Upstream]:
    """The class (or factory) of the upstream; call it with its options."""
    installed = _installed()
    if name not in installed:
        raise ValueError(
            f"no upstream named {name!r}. Installed: {', '.join(sorted(installed))}. "
            f"A package adds one with an entry point in the group {GROUP!r}; "
            "a recipe can name any class by upstream._target_"
        )
    return installed[name].load()


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
