"""The text of ROOT/edgewise, the command that a person or systemd starts on the board."""

LAUNCHER = """\
#!/bin/sh
# edgewise on this board: the release that `current` names, run by that release's own code.
# `current` is resolved once, so that a flash in the meantime cannot mix two releases.
self=$(readlink -f -- "$0")
root=${self%/*}
release=$(cd -P -- "$root/current" 2>/dev/null && pwd) ||
  { echo "edgewise: no release is installed in $root" >&2; exit 1; }
# Python 3.6 takes a missing locale for ASCII, and labels and paths need not be.
[ -n "${LC_ALL-}${LC_CTYPE-}${LANG-}" ] || export LC_ALL=C.UTF-8
# Not `-m edge`: that looks for `edge` in the folder the person stands in before it looks in the release.
exec "${EDGEWISE_PYTHON:-python3}" -B -c '
import runpy, sys
sys.path[0] = sys.argv.pop(1)
runpy.run_module("edge", run_name="__main__", alter_sys=True)
' "$release/runtime" --board "$root" "$@"
"""
