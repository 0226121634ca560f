#!/usr/bin/env bash
# recipes/timit/run.sh [matched|unmatched] [key=value ...]: TIMIT lies in data/TIMIT, or is named by
# corpus.root=/absolute/path
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
setup=matched
case "${1:-}" in matched | unmatched) setup=$1 && shift ;; esac
unsup-asr validate timit "corpus.setup=$setup" "$@"
unsup-asr run timit "recipe=timit_$setup" "corpus.setup=$setup" "$@"
unsup-asr report "timit_$setup"
unsup-asr report timit_matched timit_unmatched --results recipes/timit/RESULTS.md
