"""Completions for bash, zsh and fish, from the commands.

An argument's value, as the help shows it, says what is offered: see KINDS. Interfaces and network
namespaces are those of this machine, listed without running pynetstrat.
"""

from __future__ import annotations

import re

from commands import Argument, Command

MADE = "# Completions of pynetstrat for {}. Made by ./build.sh manual.\n"

# By an argument's value: what is offered for it.
KINDS = {
    "IFACE": "interface",
    "NAME|PATH": "namespace",
    "PID": "process",
    "FILE": "file",
    "DIR": "directory",
    "PROGRAM [ARG ...]": "program",
}


def _kind(argument: Argument) -> str:
    return KINDS.get(argument.value or "", "nothing")


def _options(command: Command) -> list[Argument]:
    return [argument for argument in command.arguments if argument.names]


def _positionals(command: Command) -> list[Argument]:
    return [argument for argument in command.arguments if not argument.names]


# ---- bash ----

_BASH = """\
_pynetstrat() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command='' options='' words='' kind='' ended='' word
    # "=" is a word of its own.
    if [ "$previous" = = ]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    elif [ "$current" = = ]; then
        current=''
    fi
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $command/$word in
        */--) ended=1 ;;
@PATHS@) command=${command:+$command }$word ;;
        esac
    done
    case $command/$previous in
@VALUES@
    *)
        case $command in
@COMMANDS@
        esac
        ;;
    esac
    COMPREPLY=()
    if [[ $current == -* ]]; then
        [ -n "$ended" ] || mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
        return
    fi
    case $kind in
    interface) words=$(cd /sys/class/net && compgen -f) ;;
    namespace)
        words=$(cd /run/netns 2>/dev/null && compgen -f)
        [[ $current != */* ]] || compopt -o default
        ;;
    process) words=$(cd /proc && compgen -G '[0-9]*') ;;
    file) compopt -o default ;;
    directory) compopt -o dirnames ;;
    program)
        if [[ $previous == run || $previous == -* ]]; then
            words=$(compgen -c -- "$current")
        else
            compopt -o default
        fi
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -F _pynetstrat pynetstrat
"""


def bash(program: Command) -> str:
    """Returns the completions for bash."""
    values, commands, paths = [], [], []
    for command in program.walk():
        if command.path:
            paths.append(f"'{' '.join(command.path[:-1])}/{command.path[-1]}'")
        for option in _options(command):
            if option.value:
                keys = " | ".join(f"'{command.name}/{name}'" for name in option.names)
                values.append(f"    {keys}) {_bash_offer([], [option])} ;;")
        options = " ".join(name for option in _options(command) for name in option.names)
        words = [below.path[-1] for below in command.commands]
        commands += [
            f"        '{command.name}')",
            f"            options='{options}'",
            f"            {_bash_offer(words, _positionals(command))}",
            "            ;;",
        ]
    script = _BASH.replace("@PATHS@", " | \\\n".join(f"        {path}" for path in paths))
    script = script.replace("@VALUES@", "\n".join(values))
    return MADE.format("bash") + script.replace("@COMMANDS@", "\n".join(commands))


def _bash_offer(words: list[str], arguments: list[Argument]) -> str:
    words = words + [choice for argument in arguments for choice in argument.choices]
    if words:
        return f"words='{' '.join(words)}'"
    return f"kind='{next(map(_kind, arguments), 'nothing')}'"


# ---- zsh ----

_ZSH_KINDS = {
    "interface": "_pynetstrat_interfaces",
    "namespace": "_pynetstrat_namespaces",
    "process": "_pids",
    "file": "_files",
    "directory": "_files -/",
    "nothing": " ",
}

_ZSH = """\
_pynetstrat_interfaces() {
    local -a names=(/sys/class/net/*(N:t))
    compadd -a names
}
_pynetstrat_namespaces() {
    local -a names=(/run/netns/*(N:t))
    compadd -a names
    [[ $PREFIX != */* ]] || _files
}
"""


def zsh(program: Command) -> str:
    """Returns the completions for zsh."""
    functions = "".join(map(_zsh_function, reversed(program.walk())))
    return f'#compdef pynetstrat\n{MADE.format("zsh")}{_ZSH}{functions}_pynetstrat "$@"\n'


def _zsh_function(command: Command) -> str:
    name = _zsh_name(command)
    specs = [spec for argument in command.arguments for spec in _zsh_specs(argument)]
    if not command.commands:
        body = "".join(f" \\\n        {spec}" for spec in specs)
        return f"{name}() {{\n    _arguments -S{body}\n}}\n"
    specs += ["'1:command:->command'", "'*::argument:->argument'"]
    arguments = "".join(f" \\\n        {spec}" for spec in specs)
    described = "".join(
        f"\n            {_quote(f'{below.path[-1]}:{below.summary}')}" for below in command.commands
    )
    calls = "".join(
        f"\n        {below.path[-1]}) {_zsh_name(below)} ;;" for below in command.commands
    )
    return f"""\
{name}() {{
    local curcontext=$curcontext context state line
    local -A opt_args
    _arguments -C{arguments} && return
    case $state in
    command)
        local -a commands=({described}
        )
        _describe command commands
        ;;
    argument)
        case $words[1] in{calls}
        esac
        ;;
    esac
}}
"""


def _zsh_name(command: Command) -> str:
    return "_".join(["_pynetstrat", *(word.replace("-", "_") for word in command.path)])


def _zsh_specs(argument: Argument) -> list[str]:
    described = re.sub(r"([][:\\])", r"\\\1", argument.help)
    if not argument.names:
        if _kind(argument) == "program":
            return ["'(-)1:program: _command_names -e'", "'*::argument: _normal'"]
        many = {"?": ":", "*": "*"}.get(str(argument.nargs), "")
        return [_quote(f"{many}:{_zsh_value(argument)}")]
    value = f":{_zsh_value(argument)}" if argument.value else ""
    alone = "(- *)" if argument.names[-1] in ("--help", "--version") else ""
    return [_quote(f"{alone}{name}[{described}]{value}") for name in argument.names]


def _zsh_value(argument: Argument) -> str:
    value = (argument.value or "").replace(":", r"\:")
    if argument.choices:
        return f"value:({' '.join(argument.choices)})"
    return f"{value}:{_ZSH_KINDS[_kind(argument)]}"


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# ---- fish ----

_FISH_KINDS = {
    "interface": "-xa '(path basename /sys/class/net/*)'",
    "namespace": "-ra '(path basename /run/netns/*)'",
    "process": "-xa '(__fish_complete_pids)'",
    "file": "-rF",
    "directory": "-xa '(__fish_complete_directories)'",
    "program": "-xa '(__fish_complete_subcommand --fcs-skip=2)'",
    "nothing": "-x",
}


def fish(program: Command) -> str:
    """Returns the completions for fish."""
    lines = ["complete -c pynetstrat -f"]
    for command in program.walk():
        where = _fish_condition(command)
        lines += [
            f"{where} -a {below.path[-1]} -d {_fish_quote(below.summary)}"
            for below in command.commands
        ]
        lines += [f"{where} {_fish_argument(argument)}" for argument in command.arguments]
    return MADE.format("fish") + "\n".join(lines) + "\n"


def _fish_condition(command: Command) -> str:
    if not command.path:
        return "complete -c pynetstrat -n __fish_use_subcommand"
    tests = [f"__fish_seen_subcommand_from {word}" for word in command.path]
    if command.commands:
        below = " ".join(below.path[-1] for below in command.commands)
        tests.append(f"not __fish_seen_subcommand_from {below}")
    return f"complete -c pynetstrat -n '{'; and '.join(tests)}'"


def _fish_argument(argument: Argument) -> str:
    offers = _FISH_KINDS[_kind(argument)]
    if argument.choices:
        offers = f"-xa '{' '.join(argument.choices)}'"
    if not argument.names:
        return offers
    names = " ".join(f"-l {n[2:]}" if n[:2] == "--" else f"-s {n[1:]}" for n in argument.names)
    described = f"-d {_fish_quote(argument.help)}"
    return f"{names} {offers} {described}" if argument.value else f"{names} {described}"


def _fish_quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
