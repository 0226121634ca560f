#!/usr/bin/env bash
# Learn from your recordings: recipes/folder/run.sh AUDIO TEXT [key=value ...]
set -euo pipefail
audio=$(realpath "${1:?the first argument is a folder of audio}")
text=$(realpath "${2:?the second argument is a text file, one sentence a line}")
shift 2
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
unsup-asr run folder "corpus.audio=$audio" "corpus.text=$text" "$@"
unsup-asr report folder
unsup-asr report folder --results recipes/folder/RESULTS.md
