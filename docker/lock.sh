#!/usr/bin/env bash
# Writes docker/requirements.lock anew: the newest packages that pyproject allows, beside the torch and
# torchaudio that the tests run with. Needs uv (`pip install uv`), which asks the package index.
set -euo pipefail
cd "$(dirname "$0")/.."
new="$(mktemp)"
trap 'rm -f "$new"' EXIT
printf 'torch==2.11.0\ntorchaudio==2.11.0\n' > "$new.only"
uv pip compile pyproject.toml --python-version 3.11 --python-platform x86_64-unknown-linux-gnu \
    --extra transformers --extra torchaudio --extra onnx --extra slurm --extra serve \
    --extra tensorboard --extra g2p --extra rvad \
    --constraint "$new.only" --no-header --no-annotate --no-emit-index-url --quiet > "$new"
rm "$new.only"
{
    echo "# The packages of docker/Dockerfile, for Python 3.11 on Linux x86_64: written by docker/lock.sh."
    cat "$new"
} > docker/requirements.lock
