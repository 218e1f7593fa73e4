"""What a runtime asks for: the environment and the network configuration on standard input."""

from __future__ import annotations

from .._native.links import check_name
from ..errors import InvalidInterfaceNameError
from ._error import (
    DECODING_FAILURE,
    INCOMPATIBLE_VERSION,
    INVALID_CONFIGURATION,
    INVALID_ENVIRONMENT,
    CniError,
)
from ._json import decode, excerpt, get

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

VERSIONS = ("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
NEWEST = VERSIONS[-1]
# The variables that each command needs, and the version that introduced it.
_COMMANDS = {
    "ADD": (("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"), "0.3.0"),
    "DEL": (("CNI_CONTAINERID", "CNI_IFNAME"), "0.3.0"),
    "CHECK": (("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"), "0.4.0"),
    "GC": (("CNI_PATH",), "1.1.0"),
    "STATUS": ((), "1.1.0"),
    "VERSION": ((), "0.3.0"),
}
_LETTERS = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_.-")


class Request:
    """A command with its parameters, all checked.

    Attributes:
        environment: the environment of the process.
        command: "ADD", "DEL" and so on.
        container: the container's id.
        netns: the path of the container's namespace; "" if it is not given.
        interface: the name of the container's interface.
        arguments: the pairs of CNI_ARGS.
        text: the network configuration as it was on standard input.
        configuration: the network configuration.
        version: the version of the specification in which to answer.
        network: the name of the network.
    """

    __slots__ = (
        "arguments",
        "command",
        "configuration",
        "container",
        "environment",
        "interface",
        "netns",
        "network",
        "text",
        "version",
    )

    def __init__(self, environment: Mapping[str, str], text: bytes) -> None:
        """Sets `version` first, which errors need."""
        self.environment = environment
        self.text = text
        self.version = NEWEST
        self.configuration: dict[str, Any] = {}

    def parse(self) -> None:
        """Parses and checks the request.

        Raises:
            CniError: a variable or the configuration is missing or invalid, or the version is not
                supported.
        """
        problem = self._decode()
        self._parse_environment()
        if self.command == "VERSION":
            return
        if problem is not None:
            raise problem
        self._check_version()
        self.network = get(self.configuration, "name", str)
        check_identifier("name", self.network, INVALID_CONFIGURATION)

    def _decode(self) -> CniError | None:
        """Decodes standard input. Returns the error, since that of the environment comes first."""
        try:
            found = decode(self.text)
        except (ValueError, RecursionError) as error:
            return CniError(DECODING_FAILURE, f"standard input must be valid JSON: {error}")
        if type(found) is not dict:
            return CniError(DECODING_FAILURE, "standard input must be a JSON object")
        self.configuration = found
        if found.get("cniVersion") in VERSIONS:
            self.version = found["cniVersion"]
        return None

    def _parse_environment(self) -> None:
        environment = self.environment
        self.command = environment.get("CNI_COMMAND", "")
        if self.command not in _COMMANDS:
            what = "must be set to" if not self.command else f"{excerpt(self.command)} must be"
            known = ", ".join(_COMMANDS)
            raise CniError(INVALID_ENVIRONMENT, f"CNI_COMMAND {what} one of {known}")
        needed, _ = _COMMANDS[self.command]
        missing = [name for name in needed if not environment.get(name)]
        if missing:
            what = f"{', '.join(missing)} must be set for {self.command}"
            raise CniError(INVALID_ENVIRONMENT, what)
        self.container = environment.get("CNI_CONTAINERID", "")
        self.netns = environment.get("CNI_NETNS", "")
        self.interface = environment.get("CNI_IFNAME", "")
        if self.command in ("GC", "STATUS", "VERSION"):
            self.arguments = {}
            return
        check_identifier("CNI_CONTAINERID", self.container, INVALID_ENVIRONMENT)
        check_new_interface("CNI_IFNAME", self.interface, INVALID_ENVIRONMENT)
        if self.netns and "/" not in self.netns:
            raise CniError(INVALID_ENVIRONMENT, "CNI_NETNS must be a path")
        self.arguments = _parse_arguments(environment.get("CNI_ARGS", ""))

    def _check_version(self) -> None:
        version = self.configuration.get("cniVersion")
        if version not in VERSIONS:
            shown = excerpt(version) if version else "missing or empty"
            known = ", ".join(VERSIONS)
            what = f"cniVersion is {shown}; supported: {known}"
            raise CniError(INCOMPATIBLE_VERSION, what)
        _, since = _COMMANDS[self.command]
        if VERSIONS.index(self.version) < VERSIONS.index(since):
            what = f"cniVersion {self.version} has no {self.command}, which {since} introduced"
            raise CniError(INCOMPATIBLE_VERSION, what)

    def is_at_least(self, version: str) -> bool:
        """Whether the answer is in this version of the specification or a newer one."""
        return VERSIONS.index(self.version) >= VERSIONS.index(version)


def check_identifier(name: str, value: str, code: int) -> None:
    """Raises CniError unless a value can be the name of a network or the id of a container."""
    if not _LETTERS.issuperset(value) or value[:1] in ("", "_", ".", "-"):
        rule = 'must begin with a letter or digit, and contain only those, "_", "." and "-"'
        raise CniError(code, f"{name} {rule}, not {excerpt(value)}")


def check_interface(name: str, value: str, code: int) -> None:
    """Raises CniError unless a value can be the name of an interface."""
    try:
        check_name(value)
    except InvalidInterfaceNameError as error:
        raise CniError(code, f"{name}: {error}") from None


def check_new_interface(name: str, value: str, code: int) -> None:
    """Raises CniError unless a value can be the name of an interface that is made."""
    if "%" in value:  # the kernel would choose a name
        raise CniError(code, f"{name} must not contain %")
    check_interface(name, value, code)


def _parse_arguments(text: str) -> dict[str, str]:
    """Parses CNI_ARGS, such as "IgnoreUnknown=1;MAC=02:00:00:00:00:01"."""
    found = {}
    for pair in filter(None, text.split(";")):
        name, equals, value = pair.partition("=")
        if not equals:
            what = f"CNI_ARGS must be pairs NAME=VALUE separated by ;, not {excerpt(pair)}"
            raise CniError(INVALID_ENVIRONMENT, what)
        found[name] = value
    return found
