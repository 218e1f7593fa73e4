"""Network strategies for containers, and interface counters, at the price of the system calls."""

# The layout; a module uses only those above it:
#
#   errors        what can go wrong
#   arguments     the types of arguments, for annotations
#   _native/      the C core (csrc/): nothing outside it touches ffi or lib
#   guard         one thread at a time, closed once, not after a fork
#   counters      NetworkInterface, CounterTable
#   links         Link, Address, Route
#   names         which interface has which index
#   batch         Batch, BatchError
#   deletion      many links deleted by one message
#   rtnetlink     RtnetlinkSocket
#   sysfs         counters from files, and whose files they are
#   netns         NetworkNamespace
#   network       Network, and how it is checked
#   undo          the undo stack, and how a rollback survives signals
#   wiring        the session: sockets in both namespaces, one deadline, one undo stack
#   difference    what differs from the networks that were requested
#   strategy/     the registry with Loopback, Veth, HostDevice, plug-ins
#   lifecycle     several networks, all or nothing
#   linkstate     what is known of links, made of datagrams
#   monitor       LinkMonitor
#   plan          the rows of a reading of containers, and where they come from
#   containers    ContainerCounters
#   system        system calls for the commands: unshare, mount and their like
#   diagnosis     what is allowed here
#   discovery     which containers there are; HostCounters
#   prometheus    ContainerCollector, for prometheus_client; imported by its own name only
#   cli/          the commands
#
# What bringing `lo` up takes is loaded at once; everything else when its name is looked up
# (PEP 562), and then with all that its calls need: a call never imports.

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
    from .arguments import Name, Netns, Perspective
    from .batch import PENDING, Batch, BatchError
    from .containers import ContainerCounters
    from .counters import ContainerTable, CounterTable, NetworkInterface
    from .diagnosis import Finding, diagnose
    from .discovery import Container, Discovery, HostCounters, discover
    from .lifecycle import check_networks, set_up_networks, tear_down_networks
    from .links import Address, Event, Link, Route
    from .monitor import LinkMonitor
    from .netns import NetworkNamespace
    from .network import Network
    from .rtnetlink import RtnetlinkSocket
    from .strategy.host_device import HostDevice
    from .strategy.plugins import strategies
    from .strategy.veth import Veth
    from .sysfs import SysfsReader, get_network_interface_stats, read_sysfs_network_stats

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
    "Address": "links",
    "Batch": "batch",
    "BatchError": "batch",
    "Event": "links",
    "Finding": "diagnosis",
    "LinkMonitor": "monitor",
    "NetworkNamespace": "netns",
    "PENDING": "batch",
    "HostDevice": "strategy.host_device",
    "Veth": "strategy.veth",
    "check_networks": "lifecycle",
    "diagnose": "diagnosis",
    "set_up_networks": "lifecycle",
    "tear_down_networks": "lifecycle",
    "Route": "links",
    "Container": "discovery",
    "Discovery": "discovery",
    "HostCounters": "discovery",
    "discover": "discovery",
    "ContainerCounters": "containers",
    "ContainerTable": "counters",
    "CounterTable": "counters",
    "Link": "links",
    "Name": "arguments",
    "Netns": "arguments",
    "Network": "network",
    "NetworkInterface": "counters",
    "Perspective": "arguments",
    "RtnetlinkSocket": "rtnetlink",
    "SysfsReader": "sysfs",
    "get_network_interface_stats": "sysfs",
    "read_sysfs_network_stats": "sysfs",
    "strategies": "strategy.plugins",
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
