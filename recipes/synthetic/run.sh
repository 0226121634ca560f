#!/usr/bin/env bash
# One language, or one of each of nine families: recipes/synthetic/run.sh [LANGUAGE ...]
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
all=(ar cmn es fi id ko ta tr vi)
for language in "${@:-${all[@]}}"; do
  unsup-asr run synthetic "language=$language"
  unsup-asr report "synthetic_$language"
done
unsup-asr report "${all[@]/#/synthetic_}" --results recipes/synthetic/RESULTS.md
