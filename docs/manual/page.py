"""The manual page, from the commands: man(7) macros that groff and mandoc both know."""

from __future__ import annotations

import re

from commands import Argument, Command

SEE_ALSO = ("ip(8)", "ip-netns(8)", "network_namespaces(7)", "rtnetlink(7)", "veth(4)")


def render(program: Command) -> str:
    """Returns pynetstrat(1)."""
    examples, status, rest = _sections(program.epilog)
    options = {name for option in program.arguments for name in option.names}
    lines = [
        '.\\" Made by ./build.sh manual.',
        '.TH PYNETSTRAT 1 "" pynetstrat "User Commands"',
        ".SH NAME",
        f"pynetstrat \\- {_text(program.summary[0].lower() + program.summary[1:].rstrip('.'))}",
        ".SH SYNOPSIS",
        *_usage(program.usage),
        ".SH DESCRIPTION",
        _text(program.summary),
        *_paragraphs(rest),
        ".SH OPTIONS",
        *_arguments(program.arguments),
        ".SH COMMANDS",
    ]
    for command in program.walk()[1:]:
        lines += [f".SS {_text(command.name)}", *_usage(command.usage), ".PP"]
        lines.append(_text(command.summary))
        # What every command has, OPTIONS has.
        lines += _arguments(
            tuple(a for a in command.arguments if not options.issuperset(a.names or [""]))
        )
        lines += _paragraphs(command.epilog)
    lines += [".SH EXIT STATUS", *_verbatim(status), ".SH EXAMPLES", *_verbatim(examples)]
    lines += [".SH SEE ALSO", ",\n".join(_reference(page) for page in SEE_ALSO)]
    return "\n".join(lines) + "\n"


def _sections(epilog: str) -> tuple[str, str, str]:
    """Splits the epilog of pynetstrat itself: examples, exit status, and the rest."""
    parts = re.fullmatch(r"examples:\n(.*?)\n\nexit status:\n(.*?)\n\n(.*?)\n*", epilog, re.S)
    assert parts, "the help of pynetstrat has another structure: change _sections()"
    return parts[1], parts[2], parts[3]


def _text(text: str) -> str:
    """Escapes what roff would interpret."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("^", "\\(ha").replace("~", "\\(ti")
    text = text.replace("'", "\\(aq").replace("`", "\\(ga").replace('"', "\\(dq")
    return re.sub(r"^\.", r"\\&.", text, flags=re.M)


def _usage(usage: str) -> list[str]:
    return [".nh", f".B {_text(usage)}", ".hy"]


def _arguments(arguments: tuple[Argument, ...]) -> list[str]:
    lines = []
    for argument in arguments:
        names = ", ".join(f"\\fB{_text(name)}\\fR" for name in argument.names)
        value = f"\\fI{_text(argument.value)}\\fR" if argument.value else ""
        lines += [".TP", f"{names} {value}".strip(), _text(argument.help)]
    return lines


def _paragraphs(text: str) -> list[str]:
    """Fills paragraphs; one with an indented line is shown as it is."""
    lines = []
    for paragraph in text.strip("\n").split("\n\n"):
        if "\n " in f"\n{paragraph}":
            lines += [".PP", *_verbatim(paragraph)]
        elif paragraph:
            lines += [".PP", _text(paragraph)]
    return lines


def _verbatim(text: str) -> list[str]:
    return [".nf", _text(text), ".fi"]


def _reference(page: str) -> str:
    name, section = page[:-1].split("(")
    return f"\\fB{_text(name)}\\fR({section})"
