#!/usr/bin/env bash
# Learn and report; options after the name go to the run: recipes/demo/run.sh seed=1
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
unsup-asr run demo "$@"
unsup-asr report demo
unsup-asr report demo --results recipes/demo/RESULTS.md
