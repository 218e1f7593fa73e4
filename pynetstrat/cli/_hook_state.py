"""What `createRuntime` has made, in a file under /run/pynetstrat/containers for `poststop`.

The networks in the file are complete: with generated names, and with what a strategy has added to
them. They need no limits, because the hook has written them. Without the file, for example if /run
can't be written, `poststop` relies on the annotation.
"""

from __future__ import annotations

import json

from .. import NetworkNamespace
from ..errors import KernelError
from ..wiring._hash import stable_hash
from ..wiring._run_folder import RunFolder
from ._exit import EndError
from ._network_json import networks_from_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..wiring.network import Network


class HookState:
    """The file of one container. Nothing is written or read if the folder can't be used.

    Parameters:
        container: the container's id.
    """

    def __init__(self, container: str) -> None:
        with NetworkNamespace.current() as host:  # several may share one /run
            key = f"{host.cookie or host.id}\0{container}"
        self._name = f"{stable_hash(key.encode('utf-8', 'surrogatepass')):016x}"
        try:
            self._folder: RunFolder | None = RunFolder("containers", "oci-hook keeps its state")
        except KernelError:
            self._folder = None

    def read(self) -> list[Network] | None:
        """Returns the networks, or None if there is no file.

        Raises:
            EndError: the file is damaged.
        """
        text = None if self._folder is None else self._folder.read_file(self._name)
        if self._folder is None or text is None:
            return None
        try:
            return networks_from_json(text, self._folder.shown(self._name))
        except EndError as error:
            remedy = "delete the file: without it poststop relies on the annotation"
            raise EndError(f"{error.reason}; {remedy}") from None

    def write(self, networks: Sequence[Network]) -> None:
        """Writes the networks, in place of those of before."""
        if self._folder is not None:
            text = json.dumps([network.to_dict() for network in networks])
            self._folder.write_file(self._name, text.encode())

    def remove(self) -> None:
        """Removes the file, if it exists."""
        if self._folder is not None:
            self._folder.remove_file(self._name)
