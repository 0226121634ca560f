#!/usr/bin/env bash
# recipes/timit_w2vu/run.sh [matched|unmatched] [key=value ...]: TIMIT lies in data/TIMIT, or is named
# by corpus.root=/absolute/path
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
setup=matched
case "${1:-}" in matched | unmatched) setup=$1 && shift ;; esac
unsup-asr validate timit_w2vu "corpus.setup=$setup" "$@"
unsup-asr run timit_w2vu "recipe=timit_w2vu_$setup" "corpus.setup=$setup" "$@"
unsup-asr report "timit_w2vu_$setup"
unsup-asr report timit_w2vu_matched timit_w2vu_unmatched --results recipes/timit_w2vu/RESULTS.md
