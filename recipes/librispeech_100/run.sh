#!/usr/bin/env bash
# recipes/librispeech_100/run.sh [key=value ...]: LibriSpeech lies in data/LibriSpeech, its text in
# data/librispeech-lm-norm.txt.gz, or they are named by corpus.root=/... and corpus.text=/...
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
unsup-asr validate librispeech_100 "$@"
unsup-asr run librispeech_100 "$@"
unsup-asr report librispeech_100
unsup-asr report librispeech_100 --results recipes/librispeech_100/RESULTS.md
