#!/usr/bin/env bash
# recipes/librispeech_960_w2vu/run.sh [key=value ...]: LibriSpeech, its text and its lexicon lie in
# data/, as the README says, or are named by corpus.root=/... corpus.text=/...
# text.front_end.dictionary=/...
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
unsup-asr validate librispeech_960_w2vu "$@"
unsup-asr run librispeech_960_w2vu "$@"
unsup-asr report librispeech_960_w2vu
unsup-asr report librispeech_960_w2vu --results recipes/librispeech_960_w2vu/RESULTS.md
