#!/usr/bin/env bash
# Learn and report; options after the name go to the run: recipes/toy/run.sh seed=1
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
unsup-asr run toy "$@"
unsup-asr report toy
unsup-asr report toy --results recipes/toy/RESULTS.md
