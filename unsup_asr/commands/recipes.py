"""`list` and `new-recipe`: what there is to run, and how to add one's own."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path

from unsup_asr.commands import UsageError, folder_named
from unsup_asr.commands.runs import runs_table
from unsup_asr.engine.recipe import load_recipe
from unsup_asr.engine.recipe_files import (
    CONFIG_NAME,
    GROUPS,
    RECIPES,
    SHIPPED,
    RecipeError,
    check_recipe_name,
    list_recipes,
    recipe_folder,
)
from unsup_asr.formats.names import shown
from unsup_asr.report.markdown import results_markdown
from unsup_asr.speech.espeak_languages import languages, no_such_language
from unsup_asr.upstreams.registry import describe_upstream
from unsup_asr.upstreams.registry import names as upstream_names

_CONFIG = """\
# One's own data: a folder of audio and a text that do not belong together.
defaults:
  - base
  - _self_
  - override corpus: folder
  - override text: {phonemizer}
  - override start: {start}
  - override matching: {matching}
  - override self_training: ctc_augmented # or ctc, words

recipe: {name}
language: {language_yaml}
corpus:
  audio: {audio_yaml}
  text: {text_yaml}
  references: {references_yaml}
{front_end}"""
_JOINED = "joined # or spoken_text: quicker; or matching: no synthesizer, real speech fails so far"
_SPOKEN = "spoken_text # or matching: no synthesizer, but real speech fails so far"
_UNSPOKEN = (
    "matching # espeak-ng has no voice of this language; start=spoken_text with "
    "start.spoken_text.language of one that reads its spelling much alike may do better"
)
# what each phonemizer must or may be given: its option here, and its key in the recipe
_GIVEN_TO = {
    "espeak": (),
    "graphemes": ("rules",),
    "epitran": ("code",),
    "lexicon": ("dictionary",),
    "pinyin": (),
    "phones": (),
}
_MUST_HAVE = ("code", "dictionary")
_FILES = ("rules", "dictionary")

_RUN = """\
#!/usr/bin/env bash
# Options go through: recipes/{name}/run.sh seed=1
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
unsup-asr validate {name} "$@"
unsup-asr run {name} "$@"
unsup-asr report {name}
unsup-asr report {name} --results recipes/{name}/RESULTS.md
"""

_README = """\
# {name}

Audio in `{audio_shown}`, text in `{text_shown}`, language `{language}`, phones by `{phonemizer}`.
{scoring}

    recipes/{name}/run.sh

Write here what the data is, where it comes from, and on what terms; `run.sh` writes RESULTS.md.
"""


def show_list(arguments: argparse.Namespace) -> int:
    """Print recipes, upstreams and the choices of each config group; or runs."""
    if arguments.runs:
        print("\n".join(runs_table(Path(arguments.exp))))
        return 0
    print("recipes")
    for name in sorted({*list_recipes(), *list_recipes(SHIPPED)}):
        file = recipe_folder(name) / CONFIG_NAME
        print(f"  {name:<22} {_first_comment(file)}".rstrip())
    print("upstreams")
    for name in upstream_names():
        print(f"  {name:<31} {describe_upstream(name)}")
    print("groups (RECIPE group=choice)")
    for folder in sorted(path for path in GROUPS.iterdir() if path.is_dir()):
        choices = sorted(path.stem for path in folder.glob("*.yaml"))
        print(f"  {folder.name:<20} {', '.join(choices)}")
    return 0


def new_recipe(arguments: argparse.Namespace) -> int:
    """Write recipes/NAME/ with a config, a script and a README."""
    name, folder = arguments.name, RECIPES / arguments.name
    _check(arguments, folder)
    references, start = arguments.references, _start(arguments)
    given: dict[str, str | None] = {
        "language": arguments.language,
        "audio": str(Path(arguments.audio).resolve()),
        "text": str(Path(arguments.text).resolve()),
        "references": str(Path(references).resolve()) if references else None,
    }
    values = {
        "name": name,
        "audio_shown": shown(str(given["audio"])),
        "text_shown": shown(str(given["text"])),
        "scoring": f"Scored with `{shown(str(given['references']))}`."
        if references
        else "There are no references, so nothing can be scored.",
        "phonemizer": arguments.phonemizer,
        "start": start,
        "matching": "spoken_channel" if start == _JOINED else "skip_bigrams",
        "front_end": _front_end(arguments),
        **given,
        **{f"{key}_yaml": _yaml(value) for key, value in given.items()},
    }
    scratch = RECIPES / f".{name}.{os.getpid()}"
    scratch.mkdir(parents=True)
    try:
        (scratch / CONFIG_NAME).write_text(_CONFIG.format(**values), "utf-8")
        (scratch / "run.sh").write_text(_RUN.format(**values), "utf-8")
        (scratch / "run.sh").chmod(0o755)
        (scratch / "README.md").write_text(_README.format(**values), "utf-8")
        (scratch / "RESULTS.md").write_text(results_markdown({name: None}), "utf-8")
        load_recipe(str(scratch))
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"{folder}/ written. Next: unsup-asr validate {name}, then {folder}/run.sh")
    return 0


def _start(arguments: argparse.Namespace) -> str:
    """How such a language begins: with espeak-ng's voices, and its phones, where it has them."""
    if arguments.language not in languages() or arguments.phonemizer == "phones":
        return _UNSPOKEN
    return _JOINED if arguments.phonemizer == "espeak" else _SPOKEN


def _check(arguments: argparse.Namespace, folder: Path) -> None:
    try:
        check_recipe_name(arguments.name, "NAME")
    except RecipeError as error:
        raise UsageError(str(error)) from error
    if os.path.lexists(folder):
        raise UsageError(f"{folder} exists; choose another name, or remove it")
    folder_named(arguments.audio, "recordings, for --audio")
    data = {"text": arguments.text, "references": arguments.references}
    data |= {name: getattr(arguments, name) for name in _FILES}
    for option, value in data.items():
        if value is not None and not Path(value).is_file():
            raise UsageError(f"--{option} {value}: no such file")
    for value in (arguments.audio, *data.values()):
        if value is not None and "${" in str(Path(value).resolve()):
            raise UsageError(f"{value}: recipes read '${{' as a reference to a key; rename it")
    _check_phonemizer(arguments)


def _check_phonemizer(arguments: argparse.Namespace) -> None:
    phonemizer, language = arguments.phonemizer, arguments.language
    if phonemizer == "espeak" and language not in languages():
        raise UsageError(
            f"{no_such_language(language)}: --phonemizer graphemes (letters are phones, with "
            "--rules for digraphs), epitran (--code), lexicon (--dictionary) or phones"
        )
    for name in ("rules", "code", "dictionary"):
        given = getattr(arguments, name)
        takers = [taker for taker, options in _GIVEN_TO.items() if name in options]
        if given is not None and phonemizer not in takers:
            raise UsageError(f"--{name} is for --phonemizer {takers[0]}, and this is {phonemizer}")
        if given is None and phonemizer in takers and name in _MUST_HAVE:
            raise UsageError(f"--phonemizer {phonemizer} needs --{name} (docs/your-own-data.md)")


def _front_end(arguments: argparse.Namespace) -> str:
    """Lines of the recipe that tell the phonemizer what it needs; none where that is nothing."""
    given = {name: getattr(arguments, name) for name in _GIVEN_TO[arguments.phonemizer]}
    given = {name: value for name, value in given.items() if value is not None}
    lines = [
        f"    {name}: {_yaml(str(Path(value).resolve()) if name in _FILES else value)}\n"
        for name, value in given.items()
    ]
    return "".join(["text:\n  front_end:\n", *lines]) if lines else ""


def _yaml(text: str | None) -> str:
    """A value as YAML, quoted, so that no string reads as something else ('no' is Norwegian)."""
    if text is None:
        return "null"
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in quoted)


def _first_comment(path: Path) -> str:
    first = path.read_text("utf-8").split("\n", 1)[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""
