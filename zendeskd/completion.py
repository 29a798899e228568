"""Completion scripts for bash, zsh and fish, made from the verbs' own parsers.

Verbs and options are in the script; organisations are asked of the daemon when they are completed.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Final, NamedTuple

from zendeskd import verbs

ORGANIZATIONS: Final = "zendeskctl org list --ids --timeout 2s 2>/dev/null"
_WITHOUT_ORGANIZATIONS: Final = frozenset({"org add"})  # its name is a new one


class Words(NamedTuple):
    """What may stand after one verb."""

    options: tuple[str, ...]
    choices: tuple[str, ...]  # of its positional arguments
    organizations: bool
    summary: str


def words() -> dict[str, Words]:
    """Verb -> what may stand after it."""
    return {verb.name: _words(verb.name, verb.summary, verb.parser()) for verb in verbs.every()}


def _words(name: str, summary: str, parser: argparse.ArgumentParser) -> Words:
    actions = parser._actions
    return Words(
        options=tuple(flag for action in actions for flag in action.option_strings if flag.startswith("--")),
        choices=tuple(str(one) for action in actions if not action.option_strings for one in action.choices or ()),
        organizations=name not in _WITHOUT_ORGANIZATIONS and any(action.dest in {"org", "orgs"} for action in actions),
        summary=summary,
    )


def script(shell: str) -> str:
    """The script for a shell of `verbs.shell.SHELLS`."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](words())


def _first(known: Mapping[str, Words]) -> list[str]:
    return list(dict.fromkeys(name.split()[0] for name in known))


def _second(known: Mapping[str, Words], group: str) -> list[str]:
    return [name.split()[1] for name in known if name.startswith(f"{group} ")]


# --- bash and zsh -----------------------------------------------------------------------------------------------------

_BASH: Final = """\
# bash completion for zendeskctl; load it with: source <(zendeskctl completion bash)
_zendeskctl() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} verb="" orgs="" words="" i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${{COMP_WORDS[i]}} in
            --socket|--ssh|--timeout) ((i++)) ;;
            -*) ;;
            *) verb=${{verb:+$verb }}${{COMP_WORDS[i]}}
               case $verb in {groups}) ;; *) break ;; esac ;;
        esac
    done
    case $verb in
{cases}
    esac
    if [[ -n $orgs && $cur != -* ]]; then words="$words $({organizations})"; fi
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}
complete -o default -F _zendeskctl zendeskctl
"""

_ZSH: Final = """\
#compdef zendeskctl
# zsh completion for zendeskctl; put it into a folder of $fpath as _zendeskctl
_zendeskctl() {{
    local verb="" orgs="" words_now="" i
    for ((i = 2; i < CURRENT; i++)); do
        case ${{words[i]}} in
            --socket|--ssh|--timeout) ((i++)) ;;
            -*) ;;
            *) verb=${{verb:+$verb }}${{words[i]}}
               case $verb in {groups}) ;; *) break ;; esac ;;
        esac
    done
    case $verb in
{cases}
    esac
    [[ -n $orgs && ${{words[CURRENT]}} != -* ]] && words_now="$words_now $({organizations})"
    compadd -- ${{=words_now}}
}}
if [[ $funcstack[1] == _zendeskctl ]]; then _zendeskctl "$@"; else compdef _zendeskctl zendeskctl; fi
"""


def _bash(known: Mapping[str, Words]) -> str:
    return _filled(_BASH, known, "words")


def _zsh(known: Mapping[str, Words]) -> str:
    return _filled(_ZSH, known, "words_now")


def _filled(template: str, known: Mapping[str, Words], variable: str) -> str:
    groups = verbs.groups()
    cases = [f'        "") {variable}="{" ".join(_first(known))}" ;;']
    cases += [f'        {group}) {variable}="{" ".join(_second(known, group))}" ;;' for group in groups]
    for name, after in known.items():
        orgs = " orgs=1" if after.organizations else ""
        cases.append(f'        "{name}") {variable}="{" ".join((*after.choices, *after.options))}"{orgs} ;;')
    return template.format(groups="|".join(groups), cases="\n".join(cases), organizations=ORGANIZATIONS)


# --- fish -------------------------------------------------------------------------------------------------------------


def _fish(known: Mapping[str, Words]) -> str:
    groups, first = verbs.groups(), _first(known)
    lines = [
        "# fish completion for zendeskctl; put it into ~/.config/fish/completions/zendeskctl.fish",
        "complete -c zendeskctl -f",
    ]
    for word in first:
        summary = known[word].summary if word in known else f"{', '.join(_second(known, word))}"
        lines.append(f"complete -c zendeskctl -n __fish_use_subcommand -a {word} -d {_quoted(summary)}")
    for group in groups:
        second = " ".join(_second(known, group))
        seen = f"__fish_seen_subcommand_from {group}; and not __fish_seen_subcommand_from {second}"
        lines.append(f"complete -c zendeskctl -n {_quoted(seen)} -a {_quoted(second)}")
    for name, after in known.items():
        seen = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in name.split())
        begin = f"complete -c zendeskctl -n {_quoted(seen)}"
        lines += [f"{begin} -l {option[2:]}" for option in after.options]
        if after.choices:
            lines.append(f"{begin} -a {_quoted(' '.join(after.choices))}")
        if after.organizations:
            lines.append(f"{begin} -a {_quoted(f'({ORGANIZATIONS})')}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """For fish, in single quotes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
