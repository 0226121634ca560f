#!/usr/bin/env bash
# Builds the wheel and tries it as a user would: from a folder that is no checkout, in an environment
# of its own whose dependencies are those of .venv (or of PYTHON), without what the repository has.
set -euo pipefail
cd "$(dirname "$0")/.."
python="$(realpath -s "${PYTHON:-.venv/bin/python}")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
git archive HEAD | tar -x --one-top-level="$work/source"
"$python" -m pip wheel --quiet --disable-pip-version-check --no-deps \
    --wheel-dir "$work" "$work/source"
"$python" -m venv --without-pip "$work/venv"
own="$("$work/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
"$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$own/dependencies.pth"
PYTHONPATH= "$python" -m pip --python "$work/venv/bin/python" install --quiet --no-deps \
    --disable-pip-version-check --ignore-installed "$work"/unsup_asr-*.whl
mkdir "$work/elsewhere" && cd "$work/elsewhere"
unset PYTHONPATH
where="$("$work/venv/bin/python" -c 'import unsup_asr; print(unsup_asr.__file__)')"
case "$where" in "$own"/*) ;; *) echo "imported from $where, not from the wheel" >&2; exit 1 ;; esac
unsup_asr="$work/venv/bin/unsup-asr"
"$unsup_asr" doctor
"$unsup_asr" list > listed
grep '^  toy ' listed
"$unsup_asr" run toy --until matching \
    corpus.num_train_utterances=20 corpus.num_dev_utterances=4 corpus.num_test_utterances=4 \
    corpus.num_text_sentences=300
"$unsup_asr" report toy
grep -c '<audio' exp/toy/report.html
"$work/venv/bin/python" -c 'from importlib.resources import files
assert "</html>" in files("unsup_asr.commands").joinpath("serve.html").read_text("utf-8")'
for verb in transcribe serve export export-data import; do "$unsup_asr" "$verb" --help > /dev/null; done
if "$unsup_asr" transcribe none x.wav 2> said; then exit 1; fi
grep 'none: no such folder; expected one that holds a model' said
mkdir audio && echo 'a sentence' > text.txt
"$unsup_asr" new-recipe own --audio audio --text text.txt --language en-us
test -f recipes/own/config.yaml
echo "the wheel works away from the repository"
