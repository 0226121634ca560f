"""The command line: `unsup-asr VERB`. Exit code 0: done, 1: found bad, 2: wrong usage, 128 and the
number of the signal that ended it (130: Ctrl-C, 143: SIGTERM). Of `diagnose` 3: the run has not
ended, 4: it broke.

Nothing heavy is imported here: every verb names the function that does it, imported when called.
"""

from __future__ import annotations

import argparse
import datetime
import errno
import importlib
import io
import json
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from unsup_asr import PACKAGES
from unsup_asr.commands import USUAL_EXP, UsageError
from unsup_asr.formats.names import shown_in_lines

DONE, FOUND_BAD, WRONG_USAGE = 0, 1, 2
_ENDING = (signal.SIGTERM, signal.SIGHUP)  # as SLURM and a closed terminal send them

_OVERRIDE = re.compile(r"[+~]{0,2}[A-Za-z_][\w./@]*=.*|~[A-Za-z_][\w.]*", re.DOTALL)
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    # Threads that wait without spinning: on a shared machine spinning made runs 5 times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # numpy's sums round the same on every number of cores; read when numpy is first imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # the terminal may know fewer characters than we
            stream.reconfigure(errors="backslashreplace")
    arguments = _parse(argv)
    as_json = getattr(arguments, "log_format", "text") == "json"
    with _logged_to_stderr(verbose=arguments.verbose, as_json=as_json), _signals_raised():
        return _run(arguments)


class _Ended(KeyboardInterrupt):
    """Another signal than Ctrl-C's asks to end: all is left behind as after Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def _run(arguments: argparse.Namespace) -> int:
    module, _, function = arguments.does.partition(":")
    try:
        code = getattr(importlib.import_module(f"unsup_asr.commands.{module}"), function)(arguments)
        sys.stdout.flush()
    except UsageError as error:
        return _complain(arguments.verb, str(error), WRONG_USAGE)
    except _Ended as ended:
        message = f"ended by {ended}; the same command goes on"
        return _complain(arguments.verb, message, 128 + ended.number)
    except KeyboardInterrupt:
        message = "interrupted; the same command goes on"
        return _complain(arguments.verb, message, 128 + signal.SIGINT)
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except MemoryError as error:
        return _complain(arguments.verb, f"not enough memory: {error}", FOUND_BAD)
    except OSError as error:
        return _complain(arguments.verb, _storage_message(error), FOUND_BAD)
    except (ValueError, RuntimeError) as error:
        if arguments.verbose:
            raise
        return _complain(arguments.verb, str(error), FOUND_BAD)
    return code


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if rest and not (hasattr(arguments, "overrides") and all(map(_OVERRIDE.fullmatch, rest))):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:  # key=value after an option
        arguments.overrides = [*arguments.overrides, *rest]
    return arguments


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--verbose", action="store_true", help="log what is done, and tracebacks")
    recipe = argparse.ArgumentParser(add_help=False)
    recipe.add_argument("recipe", metavar="RECIPE", help="a folder of recipes/, by name or path")
    recipe.add_argument(
        "overrides", metavar="key=value", nargs="*", default=[], help="options to change"
    )
    exp = argparse.ArgumentParser(add_help=False)
    exp.add_argument(
        "--exp",
        metavar="DIR",
        default=USUAL_EXP,
        type=_no_file,
        help="where results go (%(default)s)",
    )

    parser = argparse.ArgumentParser(
        prog="unsup-asr",
        description="Phone recognition learnt from speech and text that do not belong together.",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def verb(name: str, does: str, says: str, *parents: argparse.ArgumentParser):
        added = verbs.add_parser(
            name, help=says, description=f"{says}.", parents=[*parents, common]
        )
        added.set_defaults(does=does)
        return added

    run = verb("run", "run:run", "Run what is not done yet of a recipe", recipe, exp)
    run.add_argument("--until", metavar="STAGE", help="stop after this stage")
    run.add_argument(
        "--force", metavar="STAGE", action="append", default=[], help="run it though it is done"
    )
    wait_help = "wait for a stage that another process runs, instead of failing"
    run.add_argument("--wait", action="store_true", help=wait_help)
    run.add_argument(
        "--log-format", choices=("text", "json"), default="text", help="of each line (%(default)s)"
    )
    clean = verb(
        "clean", "clean:clean", "Say what stale stages take up, or remove them", recipe, exp
    )
    clean.add_argument("--remove", action="store_true", help="remove them")
    clean.add_argument(
        "--keep-runs", action="store_true", help="keep what any run that ended has made"
    )
    sweep = verb("sweep", "sweep:sweep", "Run a recipe with many options, choose one", recipe, exp)
    sweep.add_argument("--points", metavar="YAML", help="options of each run: a list of tables")
    sweep.add_argument("--until", metavar="STAGE", help="stop all runs after this stage")
    sweep.add_argument("--jobs", type=int, default=0, help="runs at a time (one, or one a GPU)")
    sweep.add_argument(
        "--max-runs", type=int, default=100, help="no more than so many (%(default)s)"
    )
    sweep.add_argument(
        "--launcher", choices=("local", "slurm"), default="local", help="(%(default)s)"
    )
    sweep.add_argument("--cluster", choices=("slurm", "local"), default="slurm", help="of submitit")
    sweep.add_argument("--minutes", type=int, default=24 * 60, help="of one job (%(default)s)")
    sweep.add_argument("--gpus", type=int, default=1, help="of one job (%(default)s)")
    sweep.add_argument(
        "--slurm", metavar="NAME=VALUE", nargs="*", default=[], help="slurm_partition=gpu, ..."
    )
    status = verb(
        "status", "run:status", "Say what is done, stale and why, partial, missing", recipe, exp
    )
    status.add_argument("--follow", action="store_true", help="say what a run does until it ends")
    status.add_argument(
        "--trust", action="store_true", help="ask classes of others too, which runs their code"
    )
    diagnose = verb(
        "diagnose", "diagnose:diagnose", "Say what is wrong with a run, and what to do next"
    )
    diagnose.add_argument("experiment", metavar="EXP", help="exp/<recipe>, or one of its runs")
    diagnose.add_argument("--json", action="store_true", help="print one JSON object")
    verb("validate", "validate:validate", "Check a recipe and its data before a run", recipe)

    evaluate = verb("evaluate", "scoring:evaluate", "Score recognised phones against references")
    evaluate.add_argument("--hyp", metavar="TSV", required=True, help="recognised phones")
    evaluate.add_argument("--ref", metavar="TSV", required=True, help="what was said")
    evaluate.add_argument(
        "--fold", metavar="TABLE", help="count phones as one: timit_39, ..., or one's own TSV"
    )
    evaluate.add_argument("--utterances", action="store_true", help="also each utterance's counts")

    compare = verb("compare", "scoring:compare", "Show several results side by side")
    what = "exp/<recipe>, one of exp/<recipe>/runs, or a results.json"
    compare.add_argument("paths", metavar="PATH", nargs="+", help=what)
    compare.add_argument(
        "--show-apart",
        action="store_true",
        help="results that do not compare, in tables apart",
    )
    compare.add_argument(
        "--published",
        choices=("timit", "librispeech", "mls", "all"),
        default="all",
        help="corpus of the published results below (%(default)s)",
    )
    report = verb("report", "report:report", "Show a recipe's results; write report.html", exp)
    report.add_argument(
        "recipes",
        metavar="RECIPE",
        nargs="+",
        help="the recipe's name, or the folder of a run; several for --html or --results",
    )
    report.add_argument("--json", action="store_true", help="print one JSON object, write no HTML")
    report.add_argument(
        "--html",
        metavar="FILE",
        nargs="?",
        const="",
        help="the page; of several recipes side by side (EXP/compared.html)",
    )
    report.add_argument(
        "--samples", type=int, default=10, metavar="N", help="utterances to hear (%(default)s)"
    )
    report.add_argument(
        "--results", metavar="FILE", help="write this RESULTS.md instead: one line a recipe named"
    )

    loaded = argparse.ArgumentParser(add_help=False)
    loaded.add_argument("model", metavar="MODEL", help="folder of a model")
    loaded.add_argument(
        "--words", action="store_true", help="words; MODEL is exp/<recipe>/latest/words then"
    )
    loaded.add_argument(
        "--trust", action="store_true", help="let the model run code of others (docs/security.md)"
    )
    loaded.add_argument(
        "--device", metavar="NAME", default="auto", help="auto, cpu, cuda or cuda:1 (%(default)s)"
    )
    precisions = ("auto", "float32", "bfloat16")
    loaded.add_argument(
        "--precision", choices=precisions, default="auto", help="of matrix products (%(default)s)"
    )
    says = "Recognise the phones, or words, of audio files"
    transcribe = verb("transcribe", "transcribe:transcribe", says, loaded)
    transcribe.add_argument(
        "audio",
        metavar="AUDIO",
        nargs="+",
        help="audio files, or folders of them; -: raw 16-bit samples on stdin, mono",
    )
    forms = ("tsv", "txt", "json", "ctm", "textgrid", "eaf", "srt", "vtt")
    transcribe.add_argument("--format", choices=forms, default="tsv", help="(%(default)s)")
    transcribe.add_argument(
        "--out", metavar="DIR", help="one file for each audio file, in here; those there stay"
    )
    transcribe.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="processes side by side (%(default)s)"
    )
    transcribe.add_argument("--sample-rate", type=int, metavar="HZ", help="of samples on stdin")
    transcribe.add_argument(
        "--partial",
        type=float,
        metavar="SECONDS",
        help="of stdin, also what is not final, so often (--format json)",
    )
    transcribe.add_argument(
        "--channel", type=int, metavar="N", help="of several, from 1, instead of their mean"
    )

    page = verb("serve", "serve:serve", "Show the phones of recordings on a local page", loaded)
    page.add_argument("--port", type=int, default=8000, help="0: any that is free (%(default)s)")
    export = verb("export-data", "export_data:export_data", "Write utterances for lhotse or Kaldi")
    export.add_argument("manifest", metavar="MANIFEST", help="such as latest/corpus/test.jsonl")
    export.add_argument("--format", choices=("lhotse", "kaldi"), required=True)
    export.add_argument(
        "--out", metavar="DIR", required=True, help="a folder that is new, or empty"
    )
    export.add_argument("--hypotheses", metavar="TSV", help="what was recognised in them")

    export = verb("export", "export:export", "Write a model for other programs")
    export.add_argument("model", metavar="MODEL", help="folder of a model")
    export.add_argument("--format", choices=("transformers", "onnx"), required=True)
    export.add_argument("--out", metavar="DIR", required=True, help="the folder to write")
    export.add_argument("--licence", metavar="NAME", default="", help="for the card: apache-2.0")
    what = "for the card: where a licence that the hub does not list can be read"
    export.add_argument("--licence-link", metavar="URL", default="", help=what)
    export.add_argument("--language", metavar="CODE", default="", help="for the card: de")
    what = "for the card (evaluate/results.json beside MODEL)"
    export.add_argument("--results", metavar="JSON", help=what)
    export.add_argument(
        "--trust", action="store_true", help="let the model run code of others (docs/security.md)"
    )
    says = "Make a model of a generator that others have published"
    taken = verb("import", "published:import_published", says)
    what = "folder of one of REBORN's cards, or a checkpoint (.pt) of fairseq's wav2vec_u"
    taken.add_argument("source", metavar="SOURCE", help=what)
    taken.add_argument("--out", metavar="DIR", required=True, help="the folder to write")
    what = "it reads: a short name, a hub id, a folder or a .pt file"
    taken.add_argument("--upstream", metavar="NAME", required=True, help=what)
    what = "of the upstream; fairseq's 14 is 15 (%(default)s)"
    taken.add_argument("--layer", type=int, default=15, help=what)
    taken.add_argument("--phones", metavar="FILE", help="fairseq's dict.phn.txt")
    what = "of wav2vec-U 1.0: what fairseq's prepare_audio.sh wrote, with CLUS*/ and pca/"
    taken.add_argument("--prepared", metavar="DIR", help=what)
    _language_model_verbs(verbs, common)
    listed = verb(
        "list", "recipes:show_list", "List recipes, upstreams and choices of groups; or runs", exp
    )
    listed.add_argument("--runs", action="store_true", help="runs: options, PER, criterion, when")
    new = verb("new-recipe", "recipes:new_recipe", "Write a recipe for your own audio and text")
    new.add_argument("name", metavar="NAME", help="name of the recipe")
    new.add_argument("--audio", metavar="DIR", required=True, help="folder of audio files")
    new.add_argument("--text", metavar="FILE", required=True, help="text, one sentence a line")
    new.add_argument("--references", metavar="TSV", help="what was said, only to score")
    new.add_argument("--language", metavar="CODE", required=True, help="an espeak-ng language: de")
    phonemizers = ("espeak", "graphemes", "epitran", "lexicon", "pinyin", "phones")
    new.add_argument(
        "--phonemizer",
        choices=phonemizers,
        default="espeak",
        help="what makes phones of the text; --language may be any code but for the usual one "
        "(%(default)s)",
    )
    new.add_argument("--rules", metavar="TSV", help="of graphemes: digraphs and their phones")
    new.add_argument("--code", metavar="CODE", help="of epitran: hau-Latn")
    new.add_argument("--dictionary", metavar="FILE", help="of lexicon: Kaldi's, MFA's or CMU's")
    verb("doctor", "doctor:doctor", "Check that everything this needs is there and works")
    return parser


def _language_model_verbs(verbs, common: argparse.ArgumentParser) -> None:
    says = "Estimate and query n-gram models, decode posteriors"
    inner = verbs.add_parser("lm", help=says, description=f"{says}.").add_subparsers(
        dest="lm_verb", metavar="VERB", required=True
    )

    def verb(name: str, says: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        added = inner.add_parser(
            name, help=says, description=f"{says}.", parents=[*parents, common]
        )
        added.set_defaults(does=f"language_model:{name}")
        return added

    estimate = verb("estimate", "Kneser-Ney model of a text, one sentence a line, as ARPA")
    estimate.add_argument("text", metavar="TEXT", help="tokens parted by spaces")
    estimate.add_argument("--out", metavar="ARPA", required=True, help="the file to write")
    estimate.add_argument("--order", type=int, default=4, help="longest n-gram (%(default)s)")
    estimate.add_argument(
        "--prune", type=int, nargs="+", default=[0], help="of each order, counts to leave out"
    )
    perplexity = verb("perplexity", "Perplexity of a text under a model")
    perplexity.add_argument("model", metavar="ARPA", help="ARPA file or KenLM binary")
    perplexity.add_argument("text", metavar="TEXT", help="tokens parted by spaces")
    perplexity.add_argument("--json", action="store_true", help="print one JSON object")
    posteriors = argparse.ArgumentParser(add_help=False)
    posteriors.add_argument("model", metavar="ARPA", help="n-gram model")
    posteriors.add_argument(
        "posteriors",
        metavar="DIR",
        help="ragged array, or one <utterance>.npy (frames, phones) each",
    )
    posteriors.add_argument(
        "--phones", metavar="FILE", required=True, help="the columns: inventory.json or one a line"
    )
    posteriors.add_argument("--beam", type=int, default=50, help="(%(default)s)")
    posteriors.add_argument("--blank", metavar="PHONE", help="the CTC blank; none: repeats join")
    posteriors.add_argument("--silence", metavar="PHONE", help="a phone the model may not know")
    posteriors.add_argument("--silence-score", type=float, default=0.0, help="(%(default)s)")
    decode = verb(
        "decode", "Phones, or words, of log posteriors by beam search with a model", posteriors
    )
    decode.add_argument("--lm-weight", type=float, default=1.0, help="(%(default)s)")
    decode.add_argument(
        "--lexicon", metavar="TSV", help="word, tab, phones: words, with a model of words"
    )
    decode.add_argument(
        "--insertion-score", type=float, default=0.0, help="a phone, or word (%(default)s)"
    )
    decode.add_argument("--nbest", type=int, default=1, help="hypotheses of each (%(default)s)")
    tune = verb(
        "tune", "Weight and insertion score of a decoder, chosen without labels", posteriors
    )
    grid = {"--lm-weights": [0.1, 0.2, 0.3, 0.5, 0.7, 1.0]}
    grid["--insertion-scores"] = [-0.5, 0.0, 0.5, 1.0, 2.0]
    for name, values in grid.items():
        tune.add_argument(name, type=float, nargs="+", default=values, help="(%(default)s)")
    tune.add_argument("--min-distance", type=float, default=0.2, help="floor (%(default)s)")
    tune.add_argument("--text-perplexity", type=float, default=1.0, help="floor (%(default)s)")
    tune.add_argument("--ref", metavar="TSV", help="what was said: only shown beside the choice")


class _Visible(logging.Formatter):
    """Names of files may hold escape sequences."""

    def format(self, record: logging.LogRecord) -> str:
        return shown_in_lines(super().format(record))


class _JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        fields = {
            "time": time.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields)


class _OncePerCommand:
    """Lets each message through once: stages of one kind have the same to say."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        is_new = message not in self._said
        self._said.add(message)
        return is_new


@contextmanager
def _logged_to_stderr(*, verbose: bool, as_json: bool) -> Iterator[None]:
    """Warnings as one line each, while a command runs; a stage's own log.txt has the tracebacks."""
    handler = logging.StreamHandler()
    text = _Visible("%(levelname)s %(name)s: %(message)s")
    handler.setFormatter(_JsonLines() if as_json else text)
    handler.setLevel(logging.INFO if verbose else logging.WARNING)
    if not verbose:
        handler.addFilter(_OncePerCommand())
    if not verbose:
        handler.addFilter(lambda record: record.exc_info is None)
    levels = {name: logging.getLogger(name).level for name in PACKAGES}
    logging.getLogger().addHandler(handler)
    for name in PACKAGES:
        logging.getLogger(name).setLevel(handler.level)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _no_file(folder: str) -> str:
    """The name of a folder that is there or not yet."""
    if Path(folder).exists() and not Path(folder).is_dir():
        raise argparse.ArgumentTypeError(f"{folder} is a file; expected a folder of experiments")
    return folder


@contextmanager
def _signals_raised() -> Iterator[None]:
    """Let signals that end a process raise, so that its children and its log end well too."""

    def end(number: int, _: FrameType | None) -> None:
        raise _Ended(number)

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    # what is ignored (as nohup has it) or handled by whoever called us stays so
    taken = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _storage_message(error: OSError) -> str:
    if error.errno in _DISK_FULL:
        return f"{error}. The disk is full: free some space and give the same command again"
    if error.errno in _NOT_WRITABLE:
        return f"{error}. Is this a folder that you may write to?"
    return str(error)


def _complain(verb: str, message: str, code: int) -> int:
    print(f"unsup-asr {verb}: {shown_in_lines(message)}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
