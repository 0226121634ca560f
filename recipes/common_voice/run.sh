#!/usr/bin/env bash
# recipes/common_voice/run.sh LANGUAGE [key=value ...]: a release lies in data/cv-corpus, or is named
# by corpus.root=/absolute/path/cv-corpus-...; LANGUAGE is espeak-ng's code
set -euo pipefail
language=${1:?the first argument is a language: de, fr-fr, sw, cmn, ...}
shift
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
unsup-asr validate common_voice "language=$language" "$@"
unsup-asr run common_voice "recipe=common_voice_$language" "language=$language" "$@"
unsup-asr report "common_voice_$language"
cd exp && names=(common_voice_*) && cd ..
unsup-asr report "${names[@]}" --results recipes/common_voice/RESULTS.md
