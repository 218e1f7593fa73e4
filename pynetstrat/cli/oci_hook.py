"""`pynetstrat oci-hook`: sets up the networks in a container's annotation, as an OCI hook.

The author of an annotation is not trusted (SECURITY.md). The arguments of this command limit what
an annotation can request. With the default types, loopback and veth, an annotation can refer to
nothing of the host except an allowed bridge. What sets networks up is in `_annotation`, which is
loaded only for a container with the annotation.
"""

from __future__ import annotations

import json

from ._annotation_arguments import LIMITS
from ._exit import EXIT_STATUS, EndError
from ._output import read_standard_input

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._arguments import Arguments

ANNOTATION = "pynetstrat.networks"

HELP = f"""\
The OCI runtime passes the container's state on standard input. The networks
are in the container's annotation {ANNOTATION}, a JSON list. A container
without it is left alone.

The author of an annotation is not trusted: a network that the options do not
allow is an error, and nothing is changed. A device record, an owner and options
are always refused. The names of host interfaces are generated from the
container's id.

createRuntime stores what it has made under /run/pynetstrat, and poststop tears
that down, whatever its options are.

example, in the "hooks" of a container's config.json:
  "createRuntime": [{{"path": "/usr/local/bin/pynetstrat",
    "args": ["pynetstrat", "oci-hook", "--bridge", "br0", "createRuntime"]}}],
  "poststop": [{{"path": "/usr/local/bin/pynetstrat",
    "args": ["pynetstrat", "oci-hook", "poststop"]}}]

{EXIT_STATUS}"""


ARGUMENTS: Arguments = {
    **LIMITS,
    "hook": {
        "choices": ["createRuntime", "poststop"],
        "help": "createRuntime sets the networks up, poststop tears them down",
    },
}


def run(options: Any) -> str:
    """Sets up or tears down the networks of the container on standard input."""
    state = _read_state(read_standard_input())
    annotation = state["annotations"].get(ANNOTATION)
    if annotation is None:
        return ""
    # What sets networks up takes longer to load than the rest of the command.
    from . import _annotation

    source = f"annotation {ANNOTATION}"
    if options.hook == "poststop":
        _annotation.tear_down(annotation, source, options, state["id"])
    else:
        _annotation.set_up(annotation, source, options, state["id"], _pid(state))
    return ""


def _read_state(text: bytes) -> dict[str, Any]:
    try:
        state = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _invalid(f"must be valid JSON: {error}") from None
    if not isinstance(state, dict):
        raise _invalid("must be an object")
    if not _is_id(state.get("id")):
        raise _invalid("the id must be a non-empty string")
    if state.get("annotations") is None:
        state["annotations"] = {}
    if not isinstance(state["annotations"], dict):
        raise _invalid("the annotations must be an object")
    if not isinstance(state["annotations"].get(ANNOTATION, ""), str):
        raise _invalid(f"the annotation {ANNOTATION} must be a string")
    return state


def _invalid(reason: str) -> EndError:
    return EndError(f"standard input is not the state of a container: {reason}")


def _is_id(value: object) -> bool:
    try:
        return isinstance(value, str) and value.encode("utf-8", "surrogateescape") != b""
    except UnicodeEncodeError:  # JSON can contain lone surrogates
        return False


def _pid(state: dict[str, Any]) -> int:
    pid = state.get("pid")
    if not isinstance(pid, int) or isinstance(pid, bool) or pid <= 0:
        raise EndError("the container's state has no pid")
    return pid
