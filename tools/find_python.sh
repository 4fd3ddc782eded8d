#!/bin/sh
# Print the newest working Python: 3.13 or 3.12 on the PATH or under pyenv, else python3 (3.11 or later).
works() { "$1" -c "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, ${2:-11}))" 2>/dev/null; }

for minor in 13 12; do
  for candidate in "python3.$minor" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3."$minor"*/bin/python3; do
    if works "$candidate" "$minor"; then command -v "$candidate"; exit 0; fi
  done
done
for candidate in python3 python3.11 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.11*/bin/python3; do
  if works "$candidate"; then command -v "$candidate"; exit 0; fi
done
echo "No Python 3.11 or later with venv was found: install Python 3.13 (and python3-venv on Debian)" >&2
exit 1
