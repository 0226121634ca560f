#!/usr/bin/env bash
# recipes/librispeech_100_w2vu2/run.sh [key=value ...]: LibriSpeech, its text and its lexicon lie in
# data/, as the README says, or are named by corpus.root=/... corpus.text=/...
# text.front_end.dictionary=/...
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
unsup-asr validate librispeech_100_w2vu2 "$@"
unsup-asr run librispeech_100_w2vu2 "$@"
unsup-asr report librispeech_100_w2vu2
unsup-asr report librispeech_100_w2vu2 --results recipes/librispeech_100_w2vu2/RESULTS.md
