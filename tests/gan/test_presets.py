from gan.presets import PRESETS, W2VU


def test_w2vu_has_the_published_constants() -> None:
    assert (W2VU.batch_size, W2VU.updates, W2VU.discriminator_steps) == (160, 150_000, 1)
    assert (W2VU.generator_kernel, W2VU.generator_dropout) == (4, 0.1)
    assert (W2VU.discriminator_hidden, W2VU.discriminator_kernel) == (384, 6)
    assert (W2VU.generator_learning_rate, W2VU.discriminator_learning_rate) == (4e-4, 5e-4)
    assert (W2VU.beta1, W2VU.beta2, W2VU.clip_norm) == (0.5, 0.98, 5.0)
    assert (W2VU.gradient_penalty, W2VU.diversity, W2VU.smoothness) == (1.5, 4.0, 0.5)


def test_presets_that_lead_with_the_discriminator_give_it_more_updates() -> None:
    assert PRESETS["cpu"].discriminator_steps == PRESETS["from_matching"].discriminator_steps == 3
    assert not PRESETS["from_matching"].plays_generator(299)
    assert PRESETS["from_matching"].plays_generator(303)
