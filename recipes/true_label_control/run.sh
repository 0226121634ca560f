#!/usr/bin/env bash
# Can the game converge at all? Options go to the benchmark: recipes/true_label_control/run.sh --seed 2
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:$PATH"
python -m benchmarks.true_label_control "$@"
