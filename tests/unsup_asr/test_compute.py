"""One device and one precision for the whole process, and clear words where a GPU is not to be."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from unsup_asr import compute
from unsup_asr.compute import DeviceError


@pytest.fixture(autouse=True)
def nothing_left_behind() -> None:
    assert compute.described() == "cpu, float32", "another test has left a device behind"


def without_gpu(monkeypatch: pytest.MonkeyPatch, *, driver: Path, cuda: str | None) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(compute, "_DRIVER", driver)


def test_auto_is_the_cpu_in_float32_where_there_is_no_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    without_gpu(monkeypatch, driver=tmp_path / "none", cuda="13.0")
    with caplog.at_level(logging.WARNING), compute.using("auto", "auto"):
        assert compute.device() == torch.device("cpu")
        assert compute.precision() is torch.float32
    assert caplog.text == ""


def test_auto_says_why_where_a_driver_is_there_and_torch_was_built_without_cuda(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    driver = tmp_path / "version"
    driver.touch()
    without_gpu(monkeypatch, driver=driver, cuda=None)
    with caplog.at_level(logging.WARNING), compute.using("auto"):
        assert compute.device().type == "cpu"
    assert "NVIDIA driver is loaded" in caplog.text
    assert "built without CUDA" in caplog.text


def test_auto_quotes_the_driver_that_is_too_old(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def too_old() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 12020).")

    driver = tmp_path / "version"
    driver.touch()
    without_gpu(monkeypatch, driver=driver, cuda="13.0")
    monkeypatch.setattr(torch.cuda, "init", too_old)
    with caplog.at_level(logging.WARNING), compute.using("auto"):
        pass
    assert "built for CUDA 13.0" in caplog.text
    assert "too old (found version 12020)" in caplog.text


def test_a_gpu_that_is_not_there_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without_gpu(monkeypatch, driver=tmp_path / "none", cuda="13.0")
    with pytest.raises(DeviceError, match=r"'cuda:1', but there is no GPU .* expected auto, cpu$"):
        compute.use("cuda:1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(DeviceError, match=r"there are 2 GPUs here.* or cuda:0 to cuda:1$"):
        compute.use("cuda:2")
    assert compute.described() == "cpu, float32"


def test_more_processes_than_gpus_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    compute.check_following(64)  # CPUs are shared
    monkeypatch.setattr(compute, "device", lambda: torch.device("cuda", 1))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    compute.check_following(3)
    with pytest.raises(DeviceError, match=r"runtime\.processes is 4 .* cuda:1, .* most 3 proc"):
        compute.check_following(4)


def test_autocast_rounds_factors_only_where_bfloat16_is_asked_for() -> None:
    ones = torch.ones(2, 2)
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        with compute.using("cpu", name), compute.autocast():
            assert (ones @ ones).dtype is dtype
