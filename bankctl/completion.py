"""Completion for bash, zsh and fish: the shells ask bankctl itself, so that they always know what it knows.

Each script hands the words before the cursor and the word under it to `bankctl __complete`, which prints
one candidate a line, or the one line :files where a file's name is wanted. Like this the knowledge is in
one tested place, and a script is as short as its shell allows.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from bankctl.grammar import Command, Flag, Grammar, Group

FILES: Final = ":files"

BASH: Final = """\
# bankctl completion for bash
_bankctl() {
    local IFS=$'\\n' found
    found=$(bankctl __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    if [[ $found == :files ]]; then
        compopt -o filenames
        COMPREPLY=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}"))
    else
        [[ $found == *: ]] && compopt -o nospace
        COMPREPLY=($found)
    fi
}
complete -F _bankctl bankctl
"""

ZSH: Final = """\
#compdef bankctl
# bankctl completion for zsh
_bankctl() {
    local -a found
    found=("${(@f)$(bankctl __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ $found[1] == :files ]]; then
        _files
    else
        compadd -- ${found:#}
    fi
}
if [[ $funcstack[1] == _bankctl ]]; then _bankctl "$@"; else compdef _bankctl bankctl; fi
"""

FISH: Final = """\
# bankctl completion for fish
function __bankctl_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found (bankctl __complete $words[2..] 2>/dev/null)
    if test "$found[1]" = :files
        __fish_complete_path (commandline -ct)
    else
        printf '%s\\n' $found
    end
end
complete -c bankctl -f -a '(__bankctl_complete)'
"""

SCRIPTS: Final = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def script(shell: str) -> str:
    return SCRIPTS[shell]


def candidates(grammar: Grammar, typed: Sequence[str]) -> list[str]:
    """What the last of these words may become; the words stand behind "bankctl"."""
    *before, current = typed or [""]
    flags = {word: flag for flag in grammar.every_flag() for word in flag.words}
    found, words, open_flag = walk(grammar, flags, [word for word in before if word != "="])
    if open_flag is not None:
        return matching(open_flag.offers, "" if current == "=" else current)  # bash takes = for a word
    word, equals, _ = current.partition("=")
    if equals and word in flags:  # the other shells do not
        return matching([f"{word}={offer}" for offer in flags[word].offers], current)
    if current.startswith("-"):
        return matching(own_flags(grammar, found), current)
    if isinstance(found, Group):
        return matching(grammar.members(found), current)
    if len(words) >= len(found.arguments):
        return []
    argument = found.arguments[len(words)]
    return [FILES] if argument.takes_file else matching(argument.offers, current)


def walk(
    grammar: Grammar, flags: Mapping[str, Flag], before: Sequence[str]
) -> tuple[Command | Group, list[str], Flag | None]:
    """The command so far, its arguments so far, and the flag that waits for its value."""
    found: Command | Group = grammar.root
    arguments: list[str] = []
    open_flag: Flag | None = None
    for word in before:
        if open_flag is not None:
            open_flag = None
        elif word in flags:
            open_flag = flags[word] if flags[word].metavar else None
        elif word.startswith("-") and word != "-":
            continue
        elif isinstance(found, Group):
            found = grammar.members(found).get(word, found)
        else:
            arguments.append(word)
    return found, arguments, open_flag


def own_flags(grammar: Grammar, found: Command | Group) -> list[str]:
    flags = grammar.flags_of(found) if isinstance(found, Command) else grammar.global_flags
    return [flag.word for flag in flags]


def matching(known: Iterable[str], current: str) -> list[str]:
    return [word for word in known if word.startswith(current)]
