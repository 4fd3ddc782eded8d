#!/bin/sh
# Make the virtual environment $1 with the project installed; $2 is the set of extras, such as [test].
set -eu
venv=$1 extras=${2:-}
if [ ! -x "$venv/bin/python" ]; then
  python=${PYTHON:-$(sh tools/find_python.sh)}
  echo "Making $venv with $("$python" --version)"
  "$python" -m venv "$venv"
fi
[ -x "$venv/bin/uv" ] || "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  --constraint constraints.txt uv
# Compiled once here, so that no later process compiles its imports again.
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --compile-bytecode \
  --constraint constraints.txt --editable ".$extras"
