"""What the tests of the CNI plugin share: a runtime, and an IPAM plugin with given answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pynetstrat import NetworkNamespace, list_owned
from pynetstrat.cni import plugin
from pynetstrat.wiring.egress import read_egress

VERSIONS = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]
LEASE = {"ips": [{"address": "10.1.0.2/24", "gateway": "10.1.0.1"}]}

_IPAM = """\
#!/bin/sh
cd {folder}
cat > stdin.$CNI_COMMAND
echo $CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME >> calls
cat answer.$CNI_COMMAND 2>/dev/null
exit $(cat status.$CNI_COMMAND 2>/dev/null || echo 0)
"""


class Ipam:
    """An IPAM plugin, a program that gives the answers that a test has written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = folder / "pool"
        program.write_text(_IPAM.format(folder=folder))
        program.chmod(0o755)
        self.answer("ADD", LEASE)

    def answer(self, command: str, answer: object, status: int = 0) -> None:
        """Sets what the plugin answers: JSON, or a text as it is."""
        text = answer if isinstance(answer, str) else json.dumps(answer)
        (self.folder / f"answer.{command}").write_text(text)
        (self.folder / f"status.{command}").write_text(str(status))

    def fail(self, command: str, code: int, message: str = "no") -> None:
        """Lets a command fail with an error of CNI."""
        self.answer(command, {"code": code, "msg": message}, 1)

    def calls(self) -> list[str]:
        """Returns the commands so far, and forgets them."""
        file = self.folder / "calls"
        found = [line.split()[0] for line in file.read_text().splitlines()] if file.exists() else []
        file.unlink(missing_ok=True)
        return found

    def stdin(self, command: str) -> Any:
        """Returns the configuration that a command has got."""
        return json.loads((self.folder / f"stdin.{command}").read_text())


class Runtime:
    """Calls the plugin as a runtime does, in this process.

    Parameters:
        ipam: the IPAM plugin; None for a network without one.
        netns: the path of the container's namespace.
    """

    def __init__(self, ipam: Ipam | None = None, netns: str = "", container: str = "c1") -> None:
        self.environment = {
            "CNI_CONTAINERID": container,
            "CNI_NETNS": netns,
            "CNI_IFNAME": "eth0",
            "CNI_PATH": str(ipam.folder) if ipam else "/nowhere",
        }
        self.configuration: dict[str, Any] = {
            "cniVersion": "1.1.0",
            "name": "net",
            "type": "pynetstrat",
            "bridge": "br7",
        }
        if ipam is not None:
            self.configuration["ipam"] = {"type": "pool"}

    def try_call(
        self, command: str, environment: dict[str, str] | None = None, **fields: Any
    ) -> tuple[int, Any]:
        """Calls the plugin; returns the status and the answer, or None if it is empty.

        Parameters:
            environment: changes of the environment.
            fields: further fields of the configuration; None leaves one out.
        """
        variables = {**self.environment, "CNI_COMMAND": command, **(environment or {})}
        given = {**self.configuration, **fields}
        given = {key: value for key, value in given.items() if value is not None}
        status, text = plugin.call(variables, json.dumps(given).encode())
        return status, json.loads(text) if text else None

    def call(self, command: str, environment: dict[str, str] | None = None, **fields: Any) -> Any:
        """Calls the plugin, which must succeed, and returns the answer."""
        status, answer = self.try_call(command, environment, **fields)
        assert status == 0, answer
        return answer

    def fail(
        self, command: str, environment: dict[str, str] | None = None, **fields: Any
    ) -> tuple[int, str]:
        """Calls the plugin, which must fail; returns the code and the text."""
        status, answer = self.try_call(command, environment, **fields)
        assert status == 1, answer
        assert set(answer) <= {"cniVersion", "code", "msg", "details"}
        return answer["code"], answer["msg"] + answer.get("details", "")


def forward(enabled: bool = True) -> None:
    """Lets the host forward, or not."""
    for setting in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        Path("/proc/sys/net", setting).write_text(str(int(enabled)))


def translations() -> list[tuple[str, str]]:
    """Returns what is masqueraded or published, and for whom."""
    found = read_egress()
    return sorted(
        (f"{one.port or one.address}", one.owner) for part in found.values() for one in part
    )


def owners() -> list[str]:
    """Returns the owners in the alias tags of the host."""
    return [owned.owner for owned in list_owned()]


def path_of(netns: NetworkNamespace) -> str:
    """Returns a path that leads to a namespace without a name."""
    return f"/proc/self/fd/{netns.fileno()}"
