"""Does everything that a run needs work here? Each library is used, not only imported."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

MIN_CORES = 2
MIN_MEMORY_BYTES = 4 * 10**9  # what a run of the demo may take
MIN_DISK_BYTES = 5 * 10**9  # environment aside: audio, features and models of the demo

_INSTALL = "run `make setup` again"
_COMMAND = (sys.executable, "-m", "unsup_asr.doctor")
_TIME_LIMIT_S = 120

_TINY_ARPA = """\
\\data\\
ngram 1=4
ngram 2=2

\\1-grams:
-1.0\t<unk>
-99\t<s>\t-0.3
-0.5\t</s>
-0.5\ta\t-0.3

\\2-grams:
-0.25\t<s> a
-0.5\ta </s>

\\end\\
"""


@dataclass(frozen=True)
class Finding:
    """One thing that was tried: what was found and, where it is bad, what to do."""

    name: str
    is_ok: bool
    found: str
    remedy: str = ""


class NotWorkingError(RuntimeError):
    """Something is there and does not do what it should."""


@dataclass(frozen=True)
class Check:
    """One thing to try, and what to do where it fails; `package`: only some upstreams need it."""

    run: Callable[[], str]
    remedy: str
    package: str = ""


def examine() -> Iterator[Finding]:
    """One finding after the other, each check in a process of its own."""
    is_kenlm_bad = False
    for name in checks():
        finding = in_own_process(name)
        is_kenlm_bad |= name == "kenlm" and not finding.is_ok
        yield finding
    for name in ("gcc", "cmake", "make"):
        yield compiler(name, is_needed=is_kenlm_bad)


def checks() -> dict[str, Check]:
    """All checks by name, in the order of the report; compilers aside."""
    optional = {
        name: Check(run, f"pip install 'unsup-asr[{name}]', or do without such upstreams", name)
        for name, run in (
            ("torchaudio", torchaudio_imports),
            ("transformers", transformers_runs_a_network),
            ("s3prl", s3prl_computes_features),
        )
    }
    return {
        "python": Check(python, "install Python 3.11 or 3.12"),
        "torch": Check(torch_multiplies, _INSTALL),
        "gpu": Check(
            gpu_multiplies, "docs/gpu.md says what to install; runtime.device=cpu does without"
        ),
        "faiss": Check(faiss_clusters, _INSTALL),
        "kenlm": Check(kenlm_reads_a_model, f"{_INSTALL}; it compiles with gcc and cmake"),
        "espeak-ng": Check(espeak_phonemizes, _INSTALL),
        "soundfile": Check(soundfile_writes_flac, _INSTALL),
        **optional,
        "cores": Check(enough_cores, "the demo will take longer than its README says"),
        "memory": Check(enough_memory, "close other programs, or run recipes/toy"),
        "disk": Check(enough_disk, "free some space, or write elsewhere with --exp"),
    }


def examine_one(name: str) -> Finding:
    """The finding of one check, here and now; whatever it raises is what is wrong."""
    check = checks()[name]
    if check.package and find_spec(check.package) is None:
        how = f"pip install 'unsup-asr[{check.package}]'"
        return Finding(name, True, f"not installed; for upstreams that need it: {how}")
    try:
        return Finding(name, True, check.run())
    except Exception as error:  # noqa: BLE001  (a broken library can raise anything)
        return Finding(name, False, f"{type(error).__name__}: {error}", check.remedy)


def in_own_process(name: str, *, command: Sequence[str] = _COMMAND) -> Finding:
    """The finding of one check in a child process: a library may end the process that loads it."""
    try:
        done = subprocess.run(
            [*command, name], capture_output=True, text=True, timeout=_TIME_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Finding(name, False, f"no answer within {_TIME_LIMIT_S} s", checks()[name].remedy)
    try:
        return Finding(**json.loads(done.stdout.splitlines()[-1]))
    except (IndexError, ValueError, TypeError):
        said = done.stderr.strip().splitlines()
        how = f"exit code {done.returncode}"
        if done.returncode < 0:
            how = f"signal {signal.Signals(-done.returncode).name}"
        found = f"its process died ({how}){': ' + said[-1] if said else ''}"
        return Finding(name, False, found, checks()[name].remedy)


def python() -> str:
    """Version; 3.11 at least, which the installation has seen to."""
    return ".".join(map(str, sys.version_info[:3]))


def torch_multiplies() -> str:
    """A product of matrices."""
    import torch

    _expect("a product of ones", float((torch.ones(2, 3) @ torch.ones(3, 2))[0, 0]), 3.0)
    return torch.__version__


def gpu_multiplies() -> str:
    """Its driver, products in both precisions, and whether faiss sees it; or that there is none."""
    import faiss
    import torch

    from unsup_asr import compute

    if (reason := compute.why_no_gpu()) is not None:
        raise NotWorkingError(f"a driver is loaded, but torch uses no GPU: {reason}")
    if not torch.cuda.is_available():
        return "none: all runs on the CPU"
    gpu = torch.cuda.get_device_properties(0)
    precisions = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    for name, dtype in precisions.items():
        ones = torch.ones(64, 64, dtype=dtype, device="cuda")
        _expect(f"a product of ones in {name} on {gpu.name}", float((ones @ ones)[0, 0]), 64.0)
    short = "" if torch.cuda.is_bf16_supported(including_emulation=False) else " (emulated)"
    clusters = "faiss too" if faiss.get_num_gpus() else "faiss clusters on the CPU"
    return (
        f"{gpu.name}, {gpu.total_memory / 1e9:.0f} GB, CUDA {torch.version.cuda}, driver "
        f"{compute.driver_version()}; float32, bfloat16{short}; {clusters}"
    )


def torchaudio_imports() -> str:
    """Version; its networks are there, beside this torch."""
    from unsup_asr.upstreams.torchaudio_package import torchaudio_part, torchaudio_version

    for part in ("models.wav2vec2.utils", "pipelines"):
        torchaudio_part(part)
    return torchaudio_version()


def faiss_clusters() -> str:
    """k-means on 100 points around two centres."""
    import faiss

    centres_ND = np.repeat(np.array([[0.0, 0.0], [10.0, 10.0]], np.float32), 50, axis=0)
    points_ND = centres_ND + np.random.default_rng(0).normal(0, 0.1, (100, 2)).astype(np.float32)
    kmeans = faiss.Kmeans(2, 2, niter=5, seed=1, verbose=False)
    kmeans.train(points_ND)
    _, nearest_N1 = kmeans.index.search(points_ND, 1)
    _expect("clusters among the first 50 points", len(set(nearest_N1[:50, 0].tolist())), 1)
    _expect("clusters among all points", len(set(nearest_N1[:, 0].tolist())), 2)
    return str(faiss.__version__)


def kenlm_reads_a_model() -> str:
    """A bigram model of three lines, and the score of a sentence."""
    import kenlm

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.arpa"
        path.write_text(_TINY_ARPA, "utf-8")
        options = kenlm.Config()
        options.show_progress = False
        model = kenlm.Model(str(path), options)
    _expect("log10 of 'a'", round(model.score("a"), 4), -0.75)
    return "reads ARPA, scores"


def espeak_phonemizes() -> str:
    """Phones of one English word."""
    import espeakng_loader
    from phonemizer.backend import EspeakBackend
    from phonemizer.backend.espeak.wrapper import EspeakWrapper

    from unsup_asr.speech.espeak import espeak_data

    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(str(espeak_data()))
    phones = EspeakBackend("en-us").phonemize(["cat"], strip=True)[0]
    if not phones.startswith("k"):
        raise NotWorkingError(f"'cat' is phonemized as {phones!r}; expected a word with k")
    return f"says 'cat' as {phones}"


def soundfile_writes_flac() -> str:
    """A flac file, written and read."""
    import soundfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "silence.flac"
        soundfile.write(path, np.zeros(160, np.float32), 16000)
        samples_N, rate = soundfile.read(path)
    _expect("samples read back", (len(samples_N), rate), (160, 16000))
    return f"{soundfile.__version__}, {soundfile.__libsndfile_version__}"


def transformers_runs_a_network() -> str:
    """HuBERT of one narrow layer on a tenth of a second: 4 frames."""
    import torch
    import transformers

    config = transformers.HubertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=1, intermediate_size=16
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        states_BTD = transformers.HubertModel(config).eval()(torch.zeros(1, 1600))[0]
    _expect("shape of HuBERT's states", tuple(states_BTD.shape), (1, 4, 16))
    return transformers.__version__


def s3prl_computes_features() -> str:
    """Its filter banks with deltas, of a tenth of a second: 8 frames of 240 dims."""
    import torch

    from unsup_asr.upstreams.s3prl_hub import S3prlUpstream

    wave_1N = torch.linspace(-1, 1, 1600)[None]
    (states_BTD,) = (
        S3prlUpstream(model="s3prl_fbank").encode(wave_1N, torch.tensor([1600])).layers_BTD
    )
    _expect("shape of s3prl's filter banks", tuple(states_BTD.shape), (1, 8, 240))
    return version("s3prl")


def compiler(name: str, *, is_needed: bool) -> Finding:
    """Where a program is that builds kenlm; its absence is bad only while kenlm does not work."""
    path = shutil.which(name)
    if path is None and is_needed:
        return Finding(name, False, "not found", "install gcc, cmake and make, then `make setup`")
    return Finding(name, True, path or "not found; kenlm is built, so nothing needs it")


def enough_cores() -> str:
    """Cores that this process may use."""
    cores = len(os.sched_getaffinity(0))
    if cores < MIN_CORES:
        raise NotWorkingError(f"{cores}; {MIN_CORES} or more are recommended")
    return str(cores)


def enough_memory() -> str:
    """Memory that is not in use."""
    import psutil

    free = psutil.virtual_memory().available
    return _at_least(free, MIN_MEMORY_BYTES)


def enough_disk() -> str:
    """Free space where the command is given."""
    return _at_least(shutil.disk_usage(Path.cwd()).free, MIN_DISK_BYTES)


def _at_least(free: int, needed: int) -> str:
    if free < needed:
        raise NotWorkingError(f"{free / 1e9:.1f} GB free; a run may need {needed / 1e9:.0f} GB")
    return f"{free / 1e9:.1f} GB free"


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise NotWorkingError(f"{what}: {found!r}; expected {expected!r}")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(examine_one(sys.argv[1]))) + "\n")
