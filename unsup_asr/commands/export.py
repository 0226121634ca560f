"""`export`: a model for other programs."""

from __future__ import annotations

import argparse
from pathlib import Path

from unsup_asr.commands import UsageError, folder_named
from unsup_asr.engine.runs import read_run
from unsup_asr.recognise.card import Card
from unsup_asr.recognise.export import export_onnx, export_transformers
from unsup_asr.report.results import Results
from unsup_asr.transcribe import load_model


def export(arguments: argparse.Namespace) -> int:
    """Write the folder; the results of the run that made the model go into its card."""
    folder = folder_named(arguments.model, "one that holds a model")
    load_model(folder, trust=arguments.trust)  # or it says what is damaged
    found = folder.parent / "evaluate" / "results.json"
    if arguments.results is not None:
        found = Path(arguments.results)
        if not found.is_file():
            raise UsageError(f"{found}: no such file; expected results.json of stage `evaluate`")
    card = Card(
        licence=arguments.licence,
        licence_link=arguments.licence_link,
        language=arguments.language,
        results=Results.read(found) if found.is_file() else None,
        record=read_run(folder.parent),
    )
    out = Path(arguments.out)
    write = {"transformers": export_transformers, "onnx": export_onnx}[arguments.format]
    write(folder, out, card)
    print(f"{out}: to publish it, `hf upload OWNER/NAME {out}`")
    return 0
