"""The state of one call: a socket in each of the two namespaces, one deadline, one undo stack."""

from __future__ import annotations

import os
from errno import EINVAL, ENOENT, ESRCH
from time import monotonic

from .._namespace_thread import run_in_namespace
from .._native import Namespace
from .._native.nft import NftSocket
from .._partial import partial
from ..errors import InvalidNetworkError, KernelError
from ..namespace import NetworkNamespace
from ..rtnetlink.socket import to_milliseconds
from ._links import restore_down
from ._nft_table import NftTable
from ._socket import SessionSocket
from ._undo import UndoStack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, TypeVar

    from ..counters import NetworkInterface
    from ..types import Netns
    from ._container_dump import ContainerDump

    Result = TypeVar("Result")

TIMEOUT = 5.0  # seconds for a whole call
_MILLISECONDS = 5000  # the same
# The errors of opening a namespace that has ended: its path does not exist (ENOENT), the process
# does not exist (ESRCH), the path is the file on which a namespace was mounted (EINVAL).
_ENDED = {ENOENT, ESRCH, EINVAL}


class Session:
    """The host namespace and the container namespace during one call.

    A strategy of this package gets the session in `_create`, `_initialize`, `_destroy` and
    `_check`, and uses its sockets: a call opens at most one in each namespace, however many
    networks it works on.

    It is a context manager: after an error it runs the undo stack, and then it closes the sockets.
    A signal handler can raise at the first line of `__exit__`, before the rollback has begun. So
    callers enter a session twice, `with Session(...) as session, session:`, and the second
    `__exit__` does what the first could not.

    Parameters:
        namespace: the container namespace, which the session closes. None if it is unknown or has
            ended.
        host: the host namespace, which the session closes. None: that of the calling thread.
        milliseconds: how long the call may wait for the kernel.

    Attributes:
        namespace: the container namespace, or None.
        given_host: the host namespace, or None if that is the namespace of the calling thread.
        until: the deadline of the call, a time of `time.monotonic()`.
        undo_stack: the undo steps of the changes made so far.
        created: the names of the links in the container that the undo stack deletes or moves
            back. A change to such a link needs no undo step of its own.
        counters: the final counters of destroyed interfaces, by the name in the container and from
            its side.
        dump: the addresses and routes in the container during `check_networks`, else None.
    """

    dump: ContainerDump | None = None
    _host: SessionSocket | None = None
    _container: SessionSocket | None = None
    _container_netns: Namespace | None = None
    _nft_socket: NftSocket | None = None
    _nft: NftTable | None = None
    _closed = False

    def __init__(
        self,
        namespace: NetworkNamespace | None,
        host: NetworkNamespace | None = None,
        milliseconds: int = _MILLISECONDS,
    ) -> None:
        self.namespace = namespace
        self.until = monotonic() + milliseconds / 1000
        self.undo_stack = UndoStack()
        self.created: set[str] = set()
        self.counters: dict[str, NetworkInterface] = {}
        self._timeout = self._socket_timeout = milliseconds
        self._host_namespace = host
        self.given_host = host

    # ---- sockets and namespaces ----

    @property
    def host(self) -> SessionSocket:
        """The socket in the host namespace."""
        if self._host is None:
            self._host = SessionSocket(self.given_host, self._socket_timeout, self.until)
        return self._host

    @property
    def container(self) -> SessionSocket:
        """The socket in the container namespace."""
        if self._container is None:
            namespace = self.container_netns
            self._container = SessionSocket(namespace, self._socket_timeout, self.until)
        return self._container

    @property
    def nft(self) -> NftTable:
        """The table of egress and published ports in the host namespace."""
        if self._nft is None:
            self._nft_socket = NftSocket(self.given_host, self._socket_timeout)
            self._nft_socket.share_deadline(self.until)
            self._nft = NftTable(self._nft_socket)
        return self._nft

    @property
    def host_namespace(self) -> NetworkNamespace:
        """A handle of the host namespace."""
        if self._host_namespace is None:
            self._host_namespace = NetworkNamespace.current()
        return self._host_namespace

    @property
    def container_namespace(self) -> NetworkNamespace:
        """The container namespace, in calls that require one."""
        assert self.namespace is not None
        return self.namespace

    @property
    def container_netns(self) -> Namespace:
        """The container namespace for sockets and messages, which take it as it is."""
        if self._container_netns is None:
            self._container_netns = Namespace.of_handle(self.container_namespace)
        return self._container_netns

    def refuse_host_namespace(self, network: str) -> None:
        """Raises InvalidNetworkError if the container namespace is the host namespace.

        Parameters:
            network: the name of the network, for the error.
        """
        host, container = self.given_host, self.container_namespace
        if _is_own(container) if host is None else container.id == host.id:
            whose = "the caller's own" if host is None else "the host"
            reason = f"must not be {whose} namespace"
            raise InvalidNetworkError("netns", str(self.namespace), reason, network)

    def call_on_host(
        self, function: Callable[..., Result], /, *arguments: Any, **keywords: Any
    ) -> Result:
        """Calls a function in a thread that is in the host namespace, and returns its result.

        That is the calling thread unless the host namespace was given. If it was, an exception of a
        signal handler is raised once the function has returned, because an undo step must not run
        at the same time.
        """
        host = self.given_host
        if host is None:
            return function(*arguments, **keywords)
        return run_in_namespace(
            host.fileno(),
            str(host),
            partial(function, *arguments, **keywords),
            finish=lambda _: None,
        )

    # ---- links in the container ----

    def set_up_link(self, name: str) -> None:
        """Brings a link in the container up.

        The undo step needs the addresses of the link: the kernel adds some to `lo` when that goes
        up, which stay when it goes down, and it flushes the IPv6 addresses of any link that goes
        down.
        """
        container = self.container
        index, up = container.find_link(name)
        if up:
            return
        undo = partial(restore_down, container, index, name, container.copy_addresses(index))
        self.undo_stack.push(undo, f"the state of {name}")
        container.link_set_up(name)

    # ---- the end of a call ----

    def roll_back(self, error: BaseException) -> None:
        """Runs the undo steps because of `error`.

        The deadline of the call may have passed, so a rollback does not wait: the kernel has
        processed a request when send() returns, and the answer is queued. What can take time (a
        deferred signal, the lock of a file) may take as long as the call was allowed to.
        """
        seconds = self._timeout / 1000
        until, self.until = self.until, monotonic() + seconds
        self._set_socket_timeout(0)
        try:
            # Signal handlers are deferred for 5 s even if the call had less time.
            self.undo_stack.roll_back(error, monotonic() + max(seconds, TIMEOUT))
        finally:
            self.until = until
            self._set_socket_timeout(self._timeout)

    def _set_socket_timeout(self, milliseconds: int) -> None:
        self._socket_timeout = milliseconds
        for sock in (self._host, self._container, self._nft_socket):
            if sock is not None:
                sock.set_timeout(milliseconds)

    def close(self) -> None:
        """Closes the sockets and the handles of the namespaces. A second call does nothing."""
        if self._closed:
            return
        self.undo_stack.clear()  # first: its steps need the sockets
        sockets = self._host, self._container, self._nft_socket
        for held in (*sockets, self._host_namespace, self.namespace):
            if held is not None:
                held.close()
        self._closed = True

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None and self.undo_stack:
            self.roll_back(error)
        self.close()


def open_session(nspid: int | None, netns: Netns | None, strategy: str) -> Session:
    """Opens the session of a call that requires the container namespace.

    Parameters:
        nspid: a process in the container namespace, if `netns` is None.
        netns: the container namespace.
        strategy: the type of the strategy, for the error if both are None.
    """
    if netns is not None:
        return Session(NetworkNamespace.open(netns))
    if nspid is not None:
        return Session(NetworkNamespace.of_process(nspid))
    reason = f"must be given (or nspid): the strategy {strategy} needs the container namespace"
    raise InvalidNetworkError("netns", None, reason)


def open_session_at(netns: Netns, host: Netns | None, timeout: float) -> Session:
    """Opens the session of a call that requires the container namespace.

    Parameters:
        netns: the container namespace.
        host: the host namespace; None: that of the calling thread.
    """
    milliseconds = to_milliseconds(timeout)
    return _open_session(NetworkNamespace.open(netns), host, milliseconds)


def open_session_if_alive(
    netns: Netns | None, host: Netns | None = None, timeout: float = TIMEOUT
) -> Session:
    """Opens the session of a call that also works without the container namespace.

    The session's `namespace` is None if `netns` is, or if that namespace has ended.
    """
    milliseconds = to_milliseconds(timeout)
    namespace = None if netns is None else _open_if_alive(netns)
    return _open_session(namespace, host, milliseconds)


def _open_session(
    namespace: NetworkNamespace | None, host: Netns | None, milliseconds: int
) -> Session:
    if host is None:
        return Session(namespace, None, milliseconds)
    try:
        return Session(namespace, NetworkNamespace.open(host), milliseconds)
    except BaseException:
        if namespace is not None:
            namespace.close()
        raise


def _open_if_alive(netns: Netns) -> NetworkNamespace | None:
    """Opens a namespace. None if it has ended."""
    try:
        return NetworkNamespace.open(netns)
    except KernelError as error:
        # EINVAL for a descriptor means that it is a descriptor of something else.
        is_path = isinstance(netns, (str, bytes, os.PathLike))
        if error.errno not in _ENDED or (error.errno == EINVAL and not is_path):
            raise
        return None


def _is_own(namespace: NetworkNamespace) -> bool:
    """Whether a namespace is that of the calling thread."""
    try:
        # The text names the inode (man 7 namespaces). It takes half the time of os.stat().
        own = os.readlink("/proc/thread-self/ns/net")  # noqa: PTH115
    except OSError:  # /proc is missing after a chroot
        with NetworkNamespace.current() as current:
            return current.id == namespace.id
    return own == f"net:[{namespace.id[1]}]"
