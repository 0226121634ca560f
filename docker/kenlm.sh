#!/usr/bin/env bash
# Installs KenLM for Python 3.13 and newer, where the C++ that its source ships does not compile: it is
# made anew by today's Cython. `docker/kenlm.sh PYTHON`, of the environment that is to have it.
set -euo pipefail
python="$(realpath -s "$1")"
version=0.3.0
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
pip=("$python" -m pip --disable-pip-version-check)
"${pip[@]}" install --quiet cython setuptools wheel cmake
"${pip[@]}" download --quiet --no-deps --no-build-isolation --no-binary kenlm "kenlm==$version"
tar -xf "kenlm-$version.tar.gz"
"$python" -m cython --cplus "kenlm-$version/python/kenlm.pyx"
"${pip[@]}" install --quiet "./kenlm-$version"
