#!/usr/bin/env bash
# recipes/mls/run.sh LANGUAGE TEXT [key=value ...]: MLS lies in data/mls_german or
# data/mls_german_opus, or below corpus.root=/absolute/path; LANGUAGE is espeak-ng's code
set -euo pipefail
language=${1:?the first argument is a language: de, nl, fr-fr, es, it, pt-br, pl, en-us}
text=$(realpath "${2:?the second argument is a text in that language, one sentence a line}")
shift 2
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
options=("language=$language" "corpus.text=$text" "$@")
unsup-asr validate mls "${options[@]}"
unsup-asr run mls "recipe=mls_$language" "${options[@]}"
unsup-asr report "mls_$language"
cd exp && names=(mls_*) && cd ..
unsup-asr report "${names[@]}" --results recipes/mls/RESULTS.md
