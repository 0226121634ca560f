"""Stages `model` and `evaluate`: the system that goes out, and what a run is worth."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from unsup_asr.engine.stages import StageContext
from unsup_asr.formats.checked import read_json_value
from unsup_asr.formats.hypotheses import read_hypotheses
from unsup_asr.formats.manifest import read_manifest
from unsup_asr.formats.phone_text import read_inventory
from unsup_asr.report.results import (
    FINAL_ROW,
    SUPERB_ROW,
    SUPERVISED_ROW,
    WORDS_ROW,
    Results,
    Row,
    SampleTranscript,
    row_from_counts,
)
from unsup_asr.report.samples import MOST_SAMPLES, in_order_of_choice
from unsup_asr.report.signs import DIAGNOSIS_FILE, SIGNS_FILE, read_findings, read_signs
from unsup_asr.report.tables import LayerWeights, MemberResult, PopulationResult
from unsup_asr.scoring.metrics import (
    confusions,
    per_utterance,
    reference_digest,
)
from unsup_asr.scoring.nulls import nulls_of, phone_frequencies
from unsup_asr.scoring.reliability import reliability
from unsup_asr.scoring.signs import divergences
from unsup_asr.steps.boundary_scoring import boundaries_of, found_edges_of, iterations_of
from unsup_asr.steps.conditions import (
    audio_digest,
    decodings,
    phone_fold,
    silence_policy,
)
from unsup_asr.steps.criterion import measured_text, read_criterion
from unsup_asr.steps.map_scoring import Table, score_maps
from unsup_asr.steps.references import read_references, unknown_share
from unsup_asr.steps.word_scoring import score_words
from unsup_asr.types import ErrorCounts, Hypothesis, Seconds, Transcript

log = logging.getLogger(__name__)

_SUPERVISED = {"supervised": SUPERVISED_ROW, "superb": SUPERB_ROW}  # rows by stage


def run_evaluate(
    context: StageContext, *, systems: Sequence[str], tables: Sequence[Table] = ()
) -> None:
    """Score every system on test against the references, beside its nulls; write results.json."""
    references = read_references(context, "test")
    inventory = read_inventory(context.input("text").file("inventory.json"))
    chosen = {
        read_json_value(context.input(name).file("choice.json"))["chosen"]
        for name in ("choice", "model")
        if name in context.artifacts
    }
    hypotheses: dict[str, list[Hypothesis]] = {}
    for name in systems:
        hypotheses[name] = read_hypotheses(context.input(name).file("hypotheses/test.tsv"))
        if name.startswith(("matching", "gan")):
            with_lm = context.input(f"{name}_lm").file("hypotheses/test.tsv")
            hypotheses[f"{name}+lm"] = read_hypotheses(with_lm)
    if "words" in context.artifacts:
        with_words = context.input("words").file("hypotheses/test.tsv")
        hypotheses[WORDS_ROW] = read_hypotheses(with_words)
    add_unheard(hypotheses, [reference.utterance_id for reference in references])
    found_edges = found_edges_of(context)
    rows: dict[str, Row] = {}
    decoded_with = decodings(context, hypotheses)
    flat = measured_text(context)
    frequencies = phone_frequencies(flat)
    for name, found in hypotheses.items():
        has_criterion = name in systems and name not in _SUPERVISED
        rows[name] = row_from_counts(
            list(per_utterance(references, found).values()),
            split="test",
            seed=context.seed,
            criterion=read_criterion(context.input(name)) if has_criterion else None,
            chosen=name in chosen,
            decoding=decoded_with[name],
            nulls=nulls_of(references, found, frequencies, seed=context.seed),
        )
    final = read_json_value(context.input("model").file("choice.json"))["chosen"]
    last = {WORDS_ROW: rows.pop(WORDS_ROW)} if WORDS_ROW in rows else {}
    last |= {row: rows.pop(name) for name, row in _SUPERVISED.items() if name in rows}
    rows |= {FINAL_ROW: rows[final], **last}
    by_id = {h.utterance_id: h.phones for h in hypotheses[final]}
    recognised = read_hypotheses(context.input(final).file("hypotheses/train.tsv"))
    train = read_manifest(context.input("corpus").file("train.jsonl"))
    findings = read_findings(context.input("diagnosis").file(DIAGNOSIS_FILE))
    results = Results(
        recipe=str(context.config.recipe),
        seed=context.seed,
        corpus=str(context.config.recipe),
        test_digest=reference_digest(references),
        rows=rows,
        num_phones=len(inventory),
        train_hours=sum(u.duration_s for u in train) / 3600,
        num_train_speakers=len({u.speaker for u in train}),
        criterion_name="weighted perplexity",
        boundaries=boundaries_of(found_edges, references),
        js_divergence=divergences(flat, [h.phones for h in recognised], orders=(1, 2, 3, 4)),
        samples=_samples(references, by_id, found_edges),
        confusion=confusions(references, hypotheses[final]),
        reliability=reliability(references, hypotheses[final]),
        diagnosis=tuple(finding.message for finding in findings),
        population=_population(context, references),
        layer_weights=_layer_weights(context),
        iterations=iterations_of(context, rows, references),
        words=score_words(context),
        wall_by_stage={},
        audio_digest=audio_digest(read_manifest(context.input("corpus").file("test.jsonl"))),
        fold=phone_fold(context),
        silence=silence_policy(references),
        unknown_reference_phones=unknown_share(references, inventory),
        maps=score_maps(context, tables, references, frequencies),
        signs=read_signs(context.input("diagnosis").file(SIGNS_FILE)),
    )
    results.write(context.out / "results.json")


def add_unheard(hypotheses: Mapping[str, list[Hypothesis]], utterance_ids: Sequence[str]) -> None:
    """Empty hypotheses for utterances too short for the first system's segments: no smaller test
    set. What another system lacks beside those is an error when it is scored.
    """
    heard = {h.utterance_id for h in next(iter(hypotheses.values()))}
    unheard = [i for i in utterance_ids if i not in heard]
    for found in hypotheses.values():
        known = {h.utterance_id for h in found}
        found.extend(Hypothesis(i, ()) for i in unheard if i not in known)


def _samples(
    references: Sequence[Transcript],
    found: Mapping[str, tuple[str, ...]],
    found_edges: Mapping[str, tuple[Seconds, ...]],
) -> tuple[SampleTranscript, ...]:
    """Those that a report may show, chosen by their ids alone."""
    by_id = {r.utterance_id: r for r in references}
    chosen = [by_id[i] for i in in_order_of_choice(by_id)[:MOST_SAMPLES]]
    return tuple(
        SampleTranscript(
            *(r.utterance_id, r.phones, found[r.utterance_id], r.starts_s, r.ends_s),
            found_edges.get(r.utterance_id, ()),
        )
        for r in chosen
    )


def _population(context: StageContext, references: Sequence[Transcript]) -> PopulationResult | None:
    """The game's members scored on test; None where it had one, or was not played."""
    if "gan" not in context.artifacts:
        return None
    game = read_json_value(context.input("gan").file("gan.json"))
    if len(game["members"]) < 2:
        return None
    members = []
    for number, (member, options) in enumerate(
        zip(game["members"], game["differences"], strict=True)
    ):
        found = read_hypotheses(context.input("gan").file(f"members/{number}/test.tsv"))
        missing = {r.utterance_id for r in references} - {h.utterance_id for h in found}
        found.extend(Hypothesis(utterance_id, ()) for utterance_id in missing)
        counts = per_utterance(references, found).values()
        members.append(
            MemberResult(
                options=options,
                per=sum(counts, ErrorCounts(0, 0, 0, 0)).rate,
                weighted_perplexity=member["weighted_lm_perplexity"],
                stopped_at=member["stopped_at"],
            )
        )
    return PopulationResult(members=tuple(members), choices=game["choices"], rule=game["rule"])


def _layer_weights(context: StageContext) -> LayerWeights | None:
    if "superb" not in context.artifacts:
        return None
    superb = read_json_value(context.input("superb").file("superb.json"))
    return LayerWeights.from_json(superb["layer_weights"])
