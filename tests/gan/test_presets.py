import pytest
from omegaconf import OmegaConf

from unsup_asr.config import GROUPS, instantiate


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


@pytest.mark.parametrize("preset", ["w2vu_cpu", "w2vu_from_matching"])
def test_presets_that_lead_with_the_discriminator_give_it_more_updates(preset) -> None:
    options = trainer(preset)
    assert options.discriminator_steps == 3
    first = options.warm_up_updates
    played = [options.plays_generator(first + i) for i in range(12)]
    assert sum(played) == 3
    assert not any(options.plays_generator(i) for i in range(first))
