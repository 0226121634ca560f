"""Stage `better_start`: from which transcripts self-training starts, where both roads are joined.

What matching and realignment make of the spoken model's phones is either much better than those or
much worse: on human voices of synthesisers the loop gains, on accented speech whose segments are
poor it loses all (docs/results.md). Perplexity does not tell, since a lexicon's words always read
like the text; how the bigrams of the output are spread does.
"""

from __future__ import annotations

import json
import logging

from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.hypotheses import read_hypotheses, write_hypotheses
from unsup_asr.scoring.signs import divergences, divergences_of_text
from unsup_asr.steps.criterion import measured_text

log = logging.getLogger(__name__)


def run_better_start(context: StageContext, *, heard: str, corrected: str) -> None:
    """Take the transcripts of stage `corrected` if they are much nearer to the text than those of
    stage `heard`, in bits between bigrams above what the text's own sentences diverge by.

    Writes `hypotheses/train.tsv` and `choice.json`.
    """
    text = measured_text(context)
    written = {
        name: read_hypotheses(context.input(name).file("hypotheses/train.tsv"))
        for name in (heard, corrected)
    }
    usual = divergences_of_text(text, len(written[heard]), orders=(2,)).get(2, 0.0)
    above = {
        name: divergences(text, [h.phones for h in hypotheses], orders=(2,)).get(2, 1.0) - usual
        for name, hypotheses in written.items()
    }
    nearer = above[corrected] < context.config.start.max_divergence_ratio * above[heard]
    chosen = corrected if nearer else heard
    log.info("chosen %s; bits between bigrams above the text's own %.4f: %s", chosen, usual, above)
    write_hypotheses(context.out / "hypotheses" / "train.tsv", written[chosen])
    (context.out / "choice.json").write_text(
        json.dumps({"chosen": chosen, "criteria": above, "text": usual}), "utf-8"
    )
