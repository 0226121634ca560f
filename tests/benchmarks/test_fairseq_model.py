"""The loader of fairseq's model file, on a file with the same imports and habits."""

import sys
from pathlib import Path

import pytest
import torch

from benchmarks.fairseq_model import MODEL_FILE, PaddedBatch, find_model_file, load_model_file
from gan.batches import UnpairedData
from gan.penalty import PAD_OFFSET
from unsup_asr.formats.ragged import RaggedArray

FILE = """
from dataclasses import dataclass
import torch
from fairseq import checkpoint_utils, utils
from fairseq.dataclass import FairseqDataclass
from fairseq.models import BaseFairseqModel, register_model
from fairseq.modules import SamePad, TransposeLast

@dataclass
class Inner(FairseqDataclass):
    size: int = 3

@dataclass
class Outer(FairseqDataclass):
    inner: Inner = Inner()

@register_model("small", dataclass=Outer)
class Small(BaseFairseqModel):
    def __init__(self, config):
        super().__init__()
        self.net = torch.nn.Sequential(
            TransposeLast(), torch.nn.Conv1d(2, 1, 4, padding=3), SamePad(4, causal=True)
        )
"""


def test_the_file_runs_with_stand_ins_that_are_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "fairseq" / MODEL_FILE  # as in a source distribution
    path.parent.mkdir(parents=True)
    path.write_text(FILE)
    before = set(sys.modules)
    module = load_model_file(find_model_file(tmp_path))
    assert set(sys.modules) <= before
    assert module.Outer().inner.size == 3
    model = module.Small(module.Outer())
    model.set_num_updates(1)
    assert model.net(torch.zeros(1, 5, 2)).shape == (1, 1, 5)


def test_a_folder_without_the_model_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no examples/.*wav2vec_u\.py in it; expected a fairseq"):
        find_model_file(tmp_path)


def test_a_padded_batch_holds_what_the_packed_one_holds() -> None:
    segments = RaggedArray.from_arrays(
        {f"u{n}": torch.full((n, 2), float(n)).numpy() for n in (1, 3)}
    )
    text = [torch.tensor([4, 5, 4]).int().numpy()]
    data = UnpairedData.check(segments, text, num_phones=6)
    batch = data.draw(0, seeds=[0], batch_size=2, device="cpu")
    padded = PaddedBatch.of(batch)
    assert sorted((~padded.is_padding_BS).sum(1).tolist()) == [1, 3]
    for features_SD, is_padding_S in zip(padded.features_BSD, padded.is_padding_BS, strict=True):
        rows = features_SD[~is_padding_S]
        assert bool((rows == len(rows)).all())
    assert padded.text_BT.tolist() == [[4, 5, 4]] * 2
    assert PAD_OFFSET not in padded.text_BT
