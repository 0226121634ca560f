"""What a run is worth, where parts of it failed."""

from unsup_asr.steps.evaluate import add_unheard
from unsup_asr.types import Hypothesis


def test_utterances_too_short_for_segments_are_empty_once_and_nothing_else_is_mended() -> None:
    """The SUPERB recipe reads whole utterances, so it may have heard what segments have not."""
    hypotheses = {
        "matching": [Hypothesis("u1", ("a",)), Hypothesis("u3", ("a",))],
        "superb": [Hypothesis("u1", ("b",)), Hypothesis("u2", ("b",))],
        "self_training_1": [Hypothesis("u1", ("c",)), Hypothesis("u3", ("c",))],
    }
    add_unheard(hypotheses, ["u1", "u2", "u3"])
    found = {name: {h.utterance_id: h.phones for h in hs} for name, hs in hypotheses.items()}
    assert found["matching"] == {"u1": ("a",), "u3": ("a",), "u2": ()}
    assert found["superb"] == {"u1": ("b",), "u2": ("b",)}  # u3 is missing: scoring says so
    assert found["self_training_1"]["u2"] == ()
    assert [len(hs) for hs in hypotheses.values()] == [3, 2, 3]
