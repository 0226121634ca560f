"""torchaudio is imported in one place, which says what is wrong with it; all else does without."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from unsup_asr.upstreams import torchaudio_package
from unsup_asr.upstreams.registry import by_name
from unsup_asr.upstreams.torchaudio_package import torchaudio_part, torchaudio_version

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("unsup_asr", "segmentation", "gan", "lm")


def test_no_module_imports_torchaudio_itself() -> None:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert "torchaudio" not in {name.partition(".")[0] for name in names}, path


_WITHOUT = """
import importlib, pkgutil, sys

sys.modules["torchaudio"] = None  # importing it fails
for package in %r:
    found = importlib.import_module(package)
    for module in pkgutil.walk_packages(found.__path__, f"{package}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)

import torch
from unsup_asr.upstreams.kaldi_features import KaldiMFCC
from unsup_asr.upstreams.normalise import add_deltas

frames = KaldiMFCC().encode(torch.ones(1, 16000), torch.tensor([16000])).layers_BTD[0][0]
assert add_deltas(frames.numpy()).shape == (98, 39)
"""


def test_every_module_imports_and_mfcc_are_computed_without_torchaudio() -> None:
    command = [sys.executable, "-c", _WITHOUT % (PACKAGES,)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_where_it_is_missing_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise torchaudio_package.PackageNotFoundError(name)

    monkeypatch.setattr(torchaudio_package, "version", version)
    with pytest.raises(ValueError, match=r"not installed.*pip install 'unsup-asr\[torchaudio\]'"):
        by_name("torchaudio_hubert_base")()


def test_one_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchaudio_package, "version", lambda name: "2.4.1+cu124")
    with pytest.raises(ValueError, match=r"torchaudio is 2\.4\.1\+cu124; expected 2\.5 or newer"):
        torchaudio_part("pipelines")


@pytest.mark.parametrize(
    "error", [OSError("libtorch_cuda.so: no such file"), RuntimeError("CUDA"), ImportError("x")]
)
def test_one_that_does_not_fit_torch_is_named_with_torch(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def import_module(name: str) -> None:
        raise error

    monkeypatch.setattr(torchaudio_package, "import_module", import_module)
    monkeypatch.setattr(torchaudio_package, "version", lambda name: "2.11.0")
    with pytest.raises(ValueError, match=r"torchaudio 2\.11\.0 cannot be imported beside torch"):
        by_name("torchaudio_hubert_base")()


def test_what_is_installed_says_its_version() -> None:
    pytest.importorskip("torchaudio")
    assert torchaudio_part("models").__name__ == "torchaudio.models"
    assert torchaudio_version()[0].isdigit()
