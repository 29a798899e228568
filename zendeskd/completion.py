"""Completion scripts for bash, zsh and fish, made from the verbs' own parsers.

Verbs and options are in the script; organisations are asked, when they are completed, of the daemon that the
line names.
Over ssh nobody is asked for a password meanwhile, and none is offered where that takes long.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Final, NamedTuple

from zendeskd import verbs

ORGANIZATIONS: Final = "zendeskctl org list --ids --timeout 2s"
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
    local cur=${{COMP_WORDS[COMP_CWORD]}} verb="" orgs="" words="" before=${{COMP_LINE:0:COMP_POINT}} line where=() i
    read -ra line <<< "$before"  # not COMP_WORDS: that takes ana@db1 apart
    local last=${{#line[@]}} prev
    [[ $before == *[[:space:]] ]] || ((last--))
    prev=${{line[last - 1]}}
    if [[ $prev == --ssh ]]; then COMPREPLY=($(compgen -A hostname -- "$cur")); return; fi
    if [[ $prev == --socket || $prev == --timeout ]]; then COMPREPLY=(); return; fi
    for ((i = 1; i < last; i++)); do
        case ${{line[i]}} in
            --socket|--ssh|--timeout) ((i++)) ;;
            -*) ;;
            *) verb=${{verb:+$verb }}${{line[i]}}
               case $verb in {groups}) ;; *) break ;; esac ;;
        esac
    done
    case $verb in
{cases}
    esac
    if [[ -n $orgs && $cur != -* ]]; then
        read -ra line <<< "$COMP_LINE"
        for ((i = 1; i < ${{#line[@]}}; i++)); do
            case ${{line[i]}} in
                --socket|--ssh) where+=("${{line[i]}}" "${{line[i + 1]/#\\~\\//$HOME/}}"); ((i++)) ;;
                --socket=*|--ssh=*) where+=("${{line[i]}}") ;;
            esac
        done
        words="$words $({organizations} "${{where[@]}}" </dev/null 2>/dev/null)"
    fi
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}
complete -o default -F _zendeskctl zendeskctl
"""

_ZSH: Final = """\
#compdef zendeskctl
# zsh completion for zendeskctl; put it into a folder of $fpath as _zendeskctl
_zendeskctl() {{
    local verb="" orgs="" words_now="" i
    local -a where
    case ${{words[CURRENT - 1]}} in
        --ssh) _hosts; return ;;
        --socket) _files; return ;;
        --timeout) return ;;
    esac
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
    if [[ -n $orgs && ${{words[CURRENT]}} != -* ]]; then
        for ((i = 2; i <= $#words; i++)); do
            case ${{words[i]}} in
                --socket|--ssh) where+=(${{words[i]}} "${{${{(Q)words[i + 1]}}/#\\~\\//$HOME/}}"); ((i++)) ;;
                --socket=*|--ssh=*) where+=("${{(Q)words[i]}}") ;;
            esac
        done
        words_now="$words_now $({organizations} "${{where[@]}}" </dev/null 2>/dev/null)"
    fi
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


_FISH: Final = """\
# fish completion for zendeskctl; put it into ~/.config/fish/completions/zendeskctl.fish
function __zendeskctl_said -d 'the words so far that are neither options nor values of common ones'
    set -l skip no
    set -l found
    for word in (commandline -opc)[2..-1]
        if test $skip = yes
            set skip no
            continue
        end
        switch $word
            case --socket --ssh --timeout
                set skip yes
            case '-*'
            case '*'
                set -a found $word
        end
    end
    string join ' ' -- $found
end
function __zendeskctl_at -d 'nothing was said but this'
    set -l said (__zendeskctl_said)
    test "$said" = "$argv"
end
function __zendeskctl_after -d 'what was said begins with this verb'
    set -l said (__zendeskctl_said)
    string match -q -- "$argv *" "$said "
end
function __zendeskctl_organizations
    set -l line (commandline -op)
    set -l where
    for i in (seq 2 (count $line))
        switch $line[$i]
            case --socket --ssh
                set -a where $line[$i] $line[(math $i + 1)]
            case '--socket=*' '--ssh=*'
                set -a where $line[$i]
        end
    end
    {organizations} $where </dev/null 2>/dev/null
end
complete -c zendeskctl -f
complete -c zendeskctl -l ssh -x -a '(__fish_print_hostnames)'
complete -c zendeskctl -l socket -r -F
"""


def _fish(known: Mapping[str, Words]) -> str:
    groups, first = verbs.groups(), _first(known)
    lines = [_FISH.format(organizations=ORGANIZATIONS).rstrip()]
    for word in first:
        summary = known[word].summary if word in known else f"{', '.join(_second(known, word))}"
        lines.append(f"complete -c zendeskctl -n '__zendeskctl_at' -a {word} -d {_quoted(summary)}")
    for group in groups:
        second = " ".join(_second(known, group))
        lines.append(f"complete -c zendeskctl -n '__zendeskctl_at {group}' -a {_quoted(second)}")
    for name, after in known.items():
        begin = f"complete -c zendeskctl -n '__zendeskctl_after {name}'"
        lines += [f"{begin} -l {option[2:]}" for option in after.options if option not in {"--ssh", "--socket"}]
        if after.choices:
            lines.append(f"{begin} -a {_quoted(' '.join(after.choices))}")
        if after.organizations:
            lines.append(f"{begin} -a '(__zendeskctl_organizations)'")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """For fish, in single quotes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
