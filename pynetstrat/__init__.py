"""Network strategies for containers, and interface counters, at the price of the system calls."""

# The layout; a module uses only those above it:
#
#   errors        exceptions
#   types         the types of arguments, for annotations
#   _native/      the binding of the C core (csrc/): nothing outside it touches ffi or lib
#   _handle       objects that are closed once and used by one thread at a time
#   strategy      the registry of strategies, with Loopback
#   counters      NetworkInterface, CounterTable
#   rtnetlink/    Link, Address, Route; Batch; RtnetlinkSocket
#   sysfs         counters from files
#   namespace     NetworkNamespace
#   wiring/       Network, Veth, HostDevice; several networks, all or nothing
#   counting/     ContainerCounters, HostCounters, discover
#   watching/     LinkMonitor
#   _syscalls     system calls for the commands: unshare, mount and their like
#   diagnosis     what is allowed on this machine
#   prometheus    ContainerCollector, for prometheus_client; imported by its own name
#   cli/          the commands
#
# `import pynetstrat` loads what bringing `lo` up needs. Any other name is loaded when it is looked
# up (PEP 562), with everything that its calls need: a call never imports.

from ._native import link_set_down, link_set_up
from .errors import (
    CounterNotFoundError,
    CounterParseError,
    ForeignSysfsError,
    InterfaceNotFoundError,
    InvalidCounterNameError,
    InvalidInterfaceNameError,
    InvalidNetworkError,
    KernelError,
    NetlinkUnavailableError,
    NetstratError,
    PermissionDeniedError,
    StrategyLoadError,
    TeardownError,
    UnknownStrategyError,
)
from .strategy import Loopback, NetworkStrategy, get_strategy, register_strategy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .counters import ContainerTable, CounterTable, NetworkInterface
    from .counting.containers import ContainerCounters
    from .counting.discovery import Container, Discovery, HostCounters, discover
    from .diagnosis import Finding, diagnose
    from .namespace import NetworkNamespace
    from .rtnetlink.batch import PENDING, Batch, BatchError
    from .rtnetlink.links import Address, Event, Link, Route
    from .rtnetlink.socket import RtnetlinkSocket
    from .sysfs import SysfsReader, get_network_interface_stats, read_sysfs_network_stats
    from .types import Name, Netns, Perspective
    from .watching.monitor import LinkMonitor
    from .wiring.host_device import HostDevice
    from .wiring.network import Network
    from .wiring.plugins import strategies
    from .wiring.setup import check_networks, set_up_networks, tear_down_networks
    from .wiring.veth import Veth

__version__ = "0.2.0.dev0"

__all__ = [
    "PENDING",
    "Address",
    "Batch",
    "BatchError",
    "Container",
    "ContainerCounters",
    "ContainerTable",
    "CounterNotFoundError",
    "CounterParseError",
    "CounterTable",
    "Discovery",
    "Event",
    "Finding",
    "ForeignSysfsError",
    "HostCounters",
    "HostDevice",
    "InterfaceNotFoundError",
    "InvalidCounterNameError",
    "InvalidInterfaceNameError",
    "InvalidNetworkError",
    "KernelError",
    "Link",
    "LinkMonitor",
    "Loopback",
    "Name",
    "NetlinkUnavailableError",
    "Netns",
    "NetstratError",
    "Network",
    "NetworkInterface",
    "NetworkNamespace",
    "NetworkStrategy",
    "PermissionDeniedError",
    "Perspective",
    "Route",
    "RtnetlinkSocket",
    "StrategyLoadError",
    "SysfsReader",
    "TeardownError",
    "UnknownStrategyError",
    "Veth",
    "check_networks",
    "diagnose",
    "discover",
    "get_network_interface_stats",
    "get_strategy",
    "link_set_down",
    "link_set_up",
    "read_sysfs_network_stats",
    "register_strategy",
    "set_up_networks",
    "strategies",
    "tear_down_networks",
]

_HOMES = {
    "Address": "rtnetlink.links",
    "Batch": "rtnetlink.batch",
    "BatchError": "rtnetlink.batch",
    "Container": "counting.discovery",
    "ContainerCounters": "counting.containers",
    "ContainerTable": "counters",
    "CounterTable": "counters",
    "Discovery": "counting.discovery",
    "Event": "rtnetlink.links",
    "Finding": "diagnosis",
    "HostCounters": "counting.discovery",
    "HostDevice": "wiring.host_device",
    "Link": "rtnetlink.links",
    "LinkMonitor": "watching.monitor",
    "Name": "types",
    "Netns": "types",
    "Network": "wiring.network",
    "NetworkInterface": "counters",
    "NetworkNamespace": "namespace",
    "PENDING": "rtnetlink.batch",
    "Perspective": "types",
    "Route": "rtnetlink.links",
    "RtnetlinkSocket": "rtnetlink.socket",
    "SysfsReader": "sysfs",
    "Veth": "wiring.veth",
    "check_networks": "wiring.setup",
    "diagnose": "diagnosis",
    "discover": "counting.discovery",
    "get_network_interface_stats": "sysfs",
    "read_sysfs_network_stats": "sysfs",
    "set_up_networks": "wiring.setup",
    "strategies": "wiring.plugins",
    "tear_down_networks": "wiring.setup",
}


if not TYPE_CHECKING:  # or typing tools would take any name at all for one of ours

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # Not importlib.import_module: importlib costs a quarter of all that is loaded here.
        value: object = getattr(__import__(_HOMES[name], globals(), level=1, fromlist=[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
