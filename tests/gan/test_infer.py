from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gan.generator import Generator, GeneratorShape
from gan.infer import TrainedGenerator, transcribe_all
from unsup_asr.formats.ragged import RaggedArray
from unsup_asr.speech.runs import merge_repeats


def trained() -> TrainedGenerator:
    torch.manual_seed(0)
    generator = Generator(GeneratorShape(input_dim=3, num_phones=4))
    return TrainedGenerator(generator, [{"update": 0.0, "weighted_lm_perplexity": 9.0}], 0)


def utterances() -> RaggedArray:
    rng = np.random.default_rng(0)
    return RaggedArray.from_arrays(
        {f"u{i}": rng.standard_normal((n, 3)).astype(np.float32) for i, n in enumerate([5, 1, 9])}
    )


def test_posteriors_are_one_distribution_a_segment() -> None:
    found = trained().posteriors(utterances()["u2"])
    assert found.shape == (9, 4)
    np.testing.assert_allclose(found.sum(1), 1.0, rtol=1e-5)


def test_transcripts_do_not_depend_on_who_shares_the_batch() -> None:
    model, data = trained(), utterances()
    together = transcribe_all(model.generator, data)
    for name, transcript in zip(data.ids, together, strict=True):
        alone = merge_repeats(model.posteriors(data[name]).argmax(1).astype(np.int32))
        np.testing.assert_array_equal(transcript, alone)


def test_saved_and_loaded_generators_agree(tmp_path: Path) -> None:
    model = trained()
    model.save(tmp_path)
    loaded = TrainedGenerator.load(tmp_path)
    segments = utterances()["u0"]
    np.testing.assert_array_equal(loaded.posteriors(segments), model.posteriors(segments))
    assert loaded.history == model.history


def test_a_folder_without_generator_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"generator\.json does not exist"):
        TrainedGenerator.load(tmp_path)


def test_weights_of_another_training_are_refused(tmp_path: Path) -> None:
    trained().save(tmp_path)
    save_file({"conv.weight": torch.zeros(4, 7, 4)}, tmp_path / "generator.safetensors")
    with pytest.raises(ValueError, match="different trainings"):
        TrainedGenerator.load(tmp_path)


def test_segments_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(6, 2\); expected \(segments, 3\)"):
        trained().posteriors(np.zeros((6, 2), dtype=np.float32))
