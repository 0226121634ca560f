"""`lm estimate`, `perplexity`, `decode`, `tune`: the text side alone, for one's own pipeline."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from unsup_asr.commands import UsageError
from unsup_asr.engine.config import check_component, instantiate
from unsup_asr.engine.overrides import Place
from unsup_asr.formats.checked import read_array, reading
from unsup_asr.formats.finished import check_written
from unsup_asr.formats.hypotheses import read_transcripts
from unsup_asr.formats.lines import read_lines
from unsup_asr.formats.names import files_by_id
from unsup_asr.formats.ragged import RaggedArray
from unsup_asr.formats.whole import whole
from unsup_asr.report.terminal import aligned
from unsup_asr.scoring.metrics import per_utterance
from unsup_asr.types import ErrorCounts, Float32Array, Hypothesis, Transcript

_LARGEST_LOG = 1e-3  # of a log posterior: 0 but for rounding


def estimate(arguments: argparse.Namespace) -> int:
    """Write an ARPA file: interpolated modified Kneser-Ney, as lmplz --discount_fallback gives."""
    _check_inputs(arguments)
    estimator = _component("lm.ngram.NgramEstimator", order=arguments.order, prune=arguments.prune)
    out = Path(arguments.out)
    if not out.parent.is_dir():
        raise UsageError(f"{out.parent} is not a folder; make it, or give another --out")
    if out.is_dir():
        raise UsageError(f"{out} is a folder; --out names the file to write")
    if out.exists() and out.samefile(arguments.text):
        raise UsageError(f"--out {out} is the text itself, which it would overwrite; name another")
    with whole(out) as scratch:
        estimator.estimate_to(scratch, _sentences(Path(arguments.text)))
    print(f"{out}: order {arguments.order}, {out.stat().st_size / 1e6:.1f} MB")
    return 0


def _check_inputs(arguments: argparse.Namespace) -> None:
    """Files that a stage wrote must be what it wrote."""
    for name in ("text", "model", "phones", "posteriors", "lexicon", "ref"):
        if given := getattr(arguments, name, None):
            check_written(Path(given))


def perplexity(arguments: argparse.Namespace) -> int:
    """Print perplexity per token with sentence ends counted and without, and what is unknown."""
    _check_inputs(arguments)
    model = _component("lm.score.load", path=Path(arguments.model))
    score = model.score_corpus(_sentences(Path(arguments.text)))
    found = {
        "sentences": score.num_sentences,
        "tokens": score.num_words,
        "unknown": score.num_unknown,
        "log10_probability": score.log10_probability,
        "perplexity_with_sentence_ends": score.perplexity_with_eos,
        "perplexity_without_sentence_ends": score.perplexity_without_eos,
    }
    if arguments.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name.replace('_', ' '):<34}{value:.6g}")
    return 0


def decode(arguments: argparse.Namespace) -> int:
    """Print hypotheses as TSV: utterance, rank, score, phones, first frame of each phone; with a
    lexicon, words and the first frame of each.
    """
    _check_inputs(arguments)
    if arguments.lexicon:
        return _decode_words(arguments)
    phones = _phones(Path(arguments.phones))
    posteriors = _log_posteriors(Path(arguments.posteriors), len(phones))
    decoder = _decoder(
        arguments,
        lm_weight=arguments.lm_weight,
        insertion_score=arguments.insertion_score,
        nbest=arguments.nbest,
    )
    decoded = decoder.decode_batch(list(posteriors.values()), phones)
    print("utterance_id\trank\tscore\tphones\tstart_frames")
    for utterance_id, hypotheses in zip(posteriors, decoded, strict=True):
        for rank, found in enumerate(hypotheses, 1):
            starts = " ".join(map(str, found.start_frames))
            print(f"{utterance_id}\t{rank}\t{found.score:.4f}\t{' '.join(found.phones)}\t{starts}")
    return 0


def _decode_words(arguments: argparse.Namespace) -> int:
    phones = _phones(Path(arguments.phones))
    posteriors = _log_posteriors(Path(arguments.posteriors), len(phones))
    decoder = _component(
        "lm.words.WordDecoder",
        lm_path=arguments.model,
        lexicon_path=arguments.lexicon,
        lm_weight=arguments.lm_weight,
        word_score=arguments.insertion_score,
        beam=arguments.beam,
        nbest=arguments.nbest,
        blank=arguments.blank,
        silence_token=arguments.silence,
        silence_score=arguments.silence_score,
    )
    decoded = decoder.decode_batch(list(posteriors.values()), phones)
    print("utterance_id\trank\tscore\twords\tstart_frames\tphones")
    for utterance_id, sentences in zip(posteriors, decoded, strict=True):
        for rank, found in enumerate(sentences, 1):
            words = " ".join(word.word for word in found.words)
            starts = " ".join(str(word.start_frames[0]) for word in found.words)
            said = " ".join(found.phones)
            print(f"{utterance_id}\t{rank}\t{found.score:.4f}\t{words}\t{starts}\t{said}")
    return 0


def tune(arguments: argparse.Namespace) -> int:
    """Print the grid, best label-free criterion first; with references, what each is worth."""
    _check_inputs(arguments)
    phones = _phones(Path(arguments.phones))
    posteriors = _log_posteriors(Path(arguments.posteriors), len(phones))
    tuning = _component(
        "lm.tuning.LabelFreeTuning",
        lm_weights=arguments.lm_weights,
        insertion_scores=arguments.insertion_scores,
        min_distance=arguments.min_distance,
        text_perplexity=arguments.text_perplexity,
    )
    found = tuning.candidates(_decoder(arguments), list(posteriors.values()), phones)
    header = ["", "lm_weight", "insertion_score", "perplexity", "distance %", "criterion"]
    cells = [
        [
            "*" if candidate is found[0] else "",
            f"{candidate.lm_weight:g}",
            f"{candidate.insertion_score:g}",
            f"{candidate.perplexity:.2f}",
            f"{100 * candidate.distance:.1f}",
            f"{candidate.criterion:.3f}",
        ]
        for candidate in found
    ]
    if arguments.ref:  # shown beside the choice, which is made already
        references = read_transcripts(Path(arguments.ref))
        rates = [_error_rate(references, list(posteriors), c.transcripts) for c in found]
        header.append("PER %")
        for line, rate in zip(cells, rates, strict=True):
            line.append(f"{rate:.1f}" + (" (oracle)" if rate == min(rates) else ""))
    print("\n".join(aligned(header, cells, left={0})))
    print("* chosen: lowest criterion, no labels")
    return 0


def _error_rate(
    references: Sequence[Transcript],
    utterance_ids: Sequence[str],
    transcripts: Sequence[tuple[str, ...]],
) -> float:
    hypotheses = [Hypothesis(i, t) for i, t in zip(utterance_ids, transcripts, strict=True)]
    counts = per_utterance(references, hypotheses).values()
    return sum(counts, ErrorCounts(0, 0, 0, 0)).rate


def _decoder(arguments: argparse.Namespace, **options: float) -> Any:
    return _component(
        "lm.beam.BeamDecoder",
        lm_path=arguments.model,
        silence_score=arguments.silence_score,
        silence_token=arguments.silence,
        blank=arguments.blank,
        beam=arguments.beam,
        **options,
    )


def _component(target: str, **options: object) -> Any:
    """An object of a sibling package, which the spine does not import."""
    node = OmegaConf.create({"_target_": target, **options}, flags={"allow_objects": True})
    check_component(node, Place("the command line"))
    return instantiate(node)


def _sentences(path: Path) -> Iterator[list[str]]:
    return _component("lm.token_lines.read_token_lines", path=path)


def _phones(path: Path) -> list[str]:
    """Phones in the order of the posteriors' columns: inventory.json, or one a line."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected inventory.json, or one phone a line")
    text = "\n".join(read_lines(path))
    try:
        phones = json.loads(text)["phones"] if path.suffix == ".json" else text.split()
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: not an inventory ({error!r}); expected JSON with a list `phones`"
        ) from error
    repeated = sorted({phone for phone in phones if phones.count(phone) > 1})
    if repeated or not phones:
        raise ValueError(
            f"{path}: {f'phone {repeated[0]!r} twice' if repeated else 'no phone'}; expected each "
            "column's phone once"
        )
    return list(phones)


def _log_posteriors(folder: Path, num_phones: int) -> dict[str, Float32Array]:
    """Ragged array of a stage, or a folder of <utterance>.npy; natural logs (frames, phones)."""
    if (folder / "index.tsv").is_file():
        ragged = RaggedArray.open(folder)
        found = {i: np.array(ragged[i], dtype=np.float32) for i in ragged}
    else:
        arrays = [file for file in sorted(folder.glob("*.npy")) if not file.name.startswith(".")]
        found = {key: _array(file) for key, file in files_by_id(arrays).items()}
    if not found:
        raise ValueError(
            f"{folder}: no posteriors; expected values.npy with index.tsv, or <utterance>.npy files"
        )
    for utterance_id, scores_TV in found.items():
        _check(utterance_id, scores_TV, num_phones, folder)
    return found


def _array(path: Path) -> Float32Array:
    with reading(path, "an array of numbers as numpy.save writes it"):
        return read_array(path).astype(np.float32)


def _check(utterance_id: str, scores_TV: Float32Array, num_phones: int, folder: Path) -> None:
    if scores_TV.ndim != 2 or scores_TV.shape[1] != num_phones or len(scores_TV) == 0:
        raise ValueError(
            f"{folder}: {utterance_id} has shape {scores_TV.shape}; expected (frames, {num_phones})"
            ": one column a phone of --phones, the blank included"
        )
    if np.isnan(scores_TV).any():
        raise ValueError(f"{folder}: {utterance_id} holds NaN; look at what made the posteriors")
    if scores_TV.max() > _LARGEST_LOG:
        raise ValueError(
            f"{folder}: {utterance_id} holds {scores_TV.max():.3g}; expected natural logarithms of "
            "posteriors, none above 0: take the log of them first"
        )
