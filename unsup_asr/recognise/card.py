"""The model card of an exported model: what it is, how it was made, what it is worth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from unsup_asr.formats.checked import read_json
from unsup_asr.formats.phone_text import read_inventory
from unsup_asr.recognise.acoustic_models import FINETUNED
from unsup_asr.recognise.description import TRAINED
from unsup_asr.recognise.letters import UNITS
from unsup_asr.report.results import SUPERVISED_ROWS, Results
from unsup_asr.types import RunRecord

CARD = "README.md"


@dataclass(frozen=True)
class Card:
    """What a card says beside what is in the model's folder; '' and None where it is unknown."""

    licence: str = ""
    language: str = ""
    licence_link: str = ""
    results: Results | None = None
    record: RunRecord | None = None  # of the run that made the model


def card_text(folder: Path, card: Card) -> str:
    """The card of the model in a folder, as the hub of transformers reads it: YAML, then text."""
    outputs = read_inventory(folder / "inventory.json")
    writes_words = _described(folder).get(UNITS) == "letters"
    lines = [
        *_metadata(folder, card),
        "",
        f"# {'Words' if writes_words else 'Phones'} from speech, learned without transcripts",
        "",
        f"Outputs: the CTC blank and {len(outputs)} "
        f"{'letters, | between words' if writes_words else 'phones'}: {' '.join(outputs)}.",
        "",
        "## How it was made",
        "",
        *_made(folder, card),
        "",
        "## What it is worth",
        "",
        *_worth(card.results),
        "",
        "## Licence",
        "",
        _licence(card),
    ]
    return "\n".join([*lines, ""])


def _metadata(folder: Path, card: Card) -> list[str]:
    is_finetuned = (folder / FINETUNED).is_dir()
    writes_words = _described(folder).get(UNITS) == "letters"
    lines = [
        "---",
        *(["library_name: transformers"] if is_finetuned else []),
        "pipeline_tag: automatic-speech-recognition",
        f"tags: [{'' if writes_words else 'phoneme-recognition, '}unsup-asr]",
    ]
    if card.licence_link:
        lines += ["license: other", f"license_name: {card.licence or 'unnamed'}"]
        lines += [f"license_link: {card.licence_link}"]
    else:
        lines += [f"license: {card.licence or 'unknown'}"]
    lines += [f"language: {card.language}"] if card.language else []
    model = _trained(folder).get("model")
    lines += [f"base_model: {model}"] if isinstance(model, str) and "/" in model else []
    return [*lines, "---"]


def _made(folder: Path, card: Card) -> list[str]:
    stage = read_json(folder / "stage.json") if (folder / "stage.json").is_file() else {}
    record, results, trained = card.record, card.results, dict(_trained(folder))
    lines = [
        f"- unsup-asr {_said(stage, 'versions', 'unsup-asr')}, "
        f"commit {record.commit if record else 'unknown'}, "
        f"torch {_said(stage, 'versions', 'torch')}",
        f"- stage `{_said(stage, 'stage')}`, key {_said(stage, 'key')}, "
        f"seed {_said(stage, 'seed')}",
    ]
    if record is not None:
        lines.append(f"- `{record.command}`, begun on {record.date}")
    if results is not None:
        lines.append(
            f"- recipe `{results.recipe}` on {results.corpus}: {results.train_hours:.2f} hours of "
            f"{results.num_train_speakers} speakers, none of it transcribed"
        )
    if trained:
        model = trained.pop("model")
        options = ", ".join(f"{name} {value}" for name, value in trained.items())
        lines.append(f"- {model}, fine-tuned with CTC: {options}")
    return lines


def _worth(results: Results | None) -> list[str]:
    if results is None:
        return ["Not measured."]
    lines = [
        "| system | PER % | 95 % interval | decoding | scored on |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {row.per:.1f} | {row.interval_low:.1f} to {row.interval_high:.1f} | "
            f"{row.decoding} | {row.scored_on} |"
            for name, row in results.rows.items()
            if name == results.final_row or name in SUPERVISED_ROWS
        ),
    ]
    if results.words is not None:
        lines += ["", "| system | WER % | 95 % interval | scored on |", "|---|---|---|---|"]
        lines += [
            f"| {name} | {row.wer:.1f} | {row.interval_low:.1f} to {row.interval_high:.1f} | "
            f"{row.scored_on} |"
            for name, row in results.words.rows.items()
        ]
    return [
        *lines,
        "",
        f"Conditions: references {results.test_digest}, recordings {results.audio_digest}, phones "
        f"folded: {results.fold}, silence {results.silence}. The figures are of the run's own "
        "decoder; by the best output of each frame expect more errors.",
    ]


def _licence(card: Card) -> str:
    named = card.licence or "not named"
    link = f" ({card.licence_link})" if card.licence_link else ""
    return (
        f"Of these weights: {named}{link}. The upstream, the recordings and the text that it was "
        "made from have licences of their own, which may bind what may be done with it."
    )


def _trained(folder: Path) -> dict[str, object]:
    """How the upstream of a fine-tuned model was trained; nothing in folders of older versions."""
    found = _described(folder).get(TRAINED, {})
    return found if isinstance(found, dict) and "model" in found else {}


def _described(folder: Path) -> dict[str, object]:
    path = folder / "model.json"
    return read_json(path) if path.is_file() else {}


def _said(record: object, *names: str) -> object:
    for name in names:
        record = record.get(name, "unknown") if isinstance(record, dict) else "unknown"
    return record
