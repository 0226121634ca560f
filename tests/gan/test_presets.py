import math
from dataclasses import asdict

import numpy as np
import pytest
from omegaconf import OmegaConf

from gan.options import new_players
from unsup_asr.engine.config import instantiate
from unsup_asr.engine.recipe_files import GROUPS

FEATURES_SD = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
TABLE_KV = np.full((3, 5), 0.2, dtype=np.float32)


def trainer(preset: str):
    options = OmegaConf.merge({"seed": 0}, OmegaConf.load(GROUPS / "gan" / f"{preset}.yaml"))
    return instantiate(options.trainer)


def test_w2vu_has_the_published_constants() -> None:
    w2vu = trainer("w2vu")
    assert (w2vu.batch_size, w2vu.updates, w2vu.discriminator_steps) == (160, 150_000, 1)
    assert (w2vu.generator_kernel, w2vu.generator_dropout) == (4, 0.1)
    assert (w2vu.discriminator_hidden, w2vu.discriminator_kernel) == (384, 6)
    assert (w2vu.generator_learning_rate, w2vu.discriminator_learning_rate) == (4e-4, 5e-4)
    assert (w2vu.beta1, w2vu.beta2, w2vu.clip_norm) == (0.5, 0.98, 5.0)
    assert (w2vu.gradient_penalty, w2vu.diversity, w2vu.smoothness) == (1.5, 4.0, 0.5)


def test_w2vu_has_the_published_number_of_parameters() -> None:
    generator, discriminator = new_players(trainer("w2vu"), input_dim=512, num_phones=44)
    assert sum(p.numel() for p in generator.parameters()) == 90_112
    assert sum(p.numel() for p in discriminator.parameters()) == pytest.approx(0.99e6, rel=0.01)


def test_w2vu2_has_the_published_constants() -> None:
    w2vu2 = trainer("w2vu2")
    assert (w2vu2.batch_size, w2vu2.updates, w2vu2.discriminator_steps) == (160, 150_000, 1)
    assert (w2vu2.generator_kernel, w2vu2.generator_stride, w2vu2.generator_dropout) == (9, 3, 0.1)
    assert (w2vu2.generator_batch_norm, w2vu2.generator_residual) == (30.0, True)
    assert (w2vu2.discriminator_hidden, w2vu2.discriminator_kernel) == (384, 8)
    assert (w2vu2.generator_learning_rate, w2vu2.discriminator_learning_rate) == (5e-5, 3e-4)
    assert (w2vu2.gradient_penalty, w2vu2.diversity, w2vu2.smoothness) == (1.0, 3.0, 1.5)
    assert (w2vu2.auxiliary, w2vu2.num_auxiliary_classes) == (0.5, 64)


def test_w2vu2_has_the_published_number_of_parameters() -> None:
    generator, discriminator = new_players(trainer("w2vu2"), input_dim=1024, num_phones=44)
    assert sum(p.numel() for p in generator.parameters()) == pytest.approx(1.52e6, rel=0.01)
    assert sum(p.numel() for p in discriminator.parameters()) == pytest.approx(1.32e6, rel=0.01)


def test_yeh2019_has_the_published_network_and_ngrams() -> None:
    yeh2019 = trainer("yeh2019")
    assert (yeh2019.objective, yeh2019.ngram_order, yeh2019.num_ngrams) == ("ngrams", 5, 10_000)
    assert (yeh2019.generator_kernel, yeh2019.generator_hidden) == (1, 512)
    assert (yeh2019.generator_learning_rate, yeh2019.smoothness) == (1e-3, 1e-5)
    assert 2 * OmegaConf.load(GROUPS / "gan" / "yeh2019.yaml").frames.context + 1 == 11


@pytest.mark.parametrize("preset", sorted(p.stem for p in (GROUPS / "gan").glob("*.yaml")))
def test_every_preset_makes_its_members(preset: str) -> None:
    options = OmegaConf.merge({"seed": 0}, OmegaConf.load(GROUPS / "gan" / f"{preset}.yaml"))
    members = instantiate(options.population).members(instantiate(options.trainer))
    varied = [len(values) for values in options.population.get("vary", {}).values()]
    assert len(members) == options.population.get("num_seeds", 1) * math.prod(varied)
    assert len({tuple(asdict(member).items()) for member in members}) == len(members)
    if options.start is not None:
        layout = instantiate(options.start).fit(FEATURES_SD, TABLE_KV)
        rows = layout.rows(FEATURES_SD, np.array([0, 1, 2, 0, 1, 2], dtype=np.int32))
        assert rows.shape[0] == len(FEATURES_SD)
        assert layout.first_map is None or layout.first_map.shape == (rows.shape[1], 5)
    if options.auxiliary_clusterer is not None:
        classes = instantiate(options.auxiliary_clusterer).num_clusters
        assert classes == members[0].num_auxiliary_classes


@pytest.mark.parametrize("preset", ["w2vu_cpu", "w2vu_from_matching"])
def test_presets_that_lead_with_the_discriminator_give_it_more_updates(preset) -> None:
    options = trainer(preset)
    assert options.discriminator_steps == 3
    first = options.warm_up_updates
    played = [options.plays_generator(first + i) for i in range(12)]
    assert sum(played) == 3
    assert not any(options.plays_generator(i) for i in range(first))
