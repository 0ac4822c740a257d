"""What makes bash complete the board's own command: a script written from the parser, so that the two cannot differ."""

import argparse
from typing import Dict, List

_SCRIPT = """\
# Of `edgewise completion`. In ~/.bashrc: eval "$(~/edgewise-board/edgewise completion)"
_edgewise_board() {{
  local path= word words
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case "$path $word" in {paths}) path="$path $word" ;; esac
  done
  case "$path" in
{cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _edgewise_board edgewise
"""


def bash_script(parser: argparse.ArgumentParser) -> str:
    """Verbs, their parts and options; where none fits, bash completes files, which the pictures and films are."""
    words = _words(parser, "")
    paths = "|".join('"{}"'.format(path) for path in sorted(words) if path)
    cases = "\n".join('    "{}") words="{}" ;;'.format(path, " ".join(words[path])) for path in sorted(words))
    return _SCRIPT.format(paths=paths, cases=cases)


def _words(parser: argparse.ArgumentParser, path: str) -> Dict[str, List[str]]:
    """By the verbs that were typed, such as " learned show": what may follow."""
    found = {path: []}  # type: Dict[str, List[str]]
    for action in parser._actions:  # argparse has no public list of them
        if action.help != argparse.SUPPRESS:
            found[path] += [option for option in action.option_strings if option.startswith("--")]
        if isinstance(action, argparse._SubParsersAction):
            found[path] += list(action.choices)
            for name, sub in action.choices.items():
                found.update(_words(sub, path + " " + name))
    return found
