"""The network half of a container runtime: wires containers, counts traffic, watches links.

Every public name is reached from this package; the exception is `pynetstrat.prometheus`, which
needs prometheus_client.
"""

# The layout. A module uses only modules listed above it:
#
#   errors             exceptions
#   types              the types of arguments, for annotations
#   _native/           the binding of the C core (csrc/): the only code that touches ffi or lib
#   _handle            objects that are closed once and used by one thread at a time
#   strategy           the registry of strategies; Loopback
#   counters           NetworkInterface, CounterTable
#   rtnetlink/         Link, Address, Route; Batch; RtnetlinkSocket
#   _sysfs_proof       whether /sys shows the calling thread's namespace
#   sysfs              counters from files
#   _namespace_thread  runs a function in a thread that has entered a namespace
#   _etc_netns         the files of /etc/netns/NAME
#   _children          child processes in a namespace
#   namespace          NetworkNamespace
#   wiring/            Network, Veth, HostDevice; set_up_networks and its like
#   counting/          ContainerCounters, HostCounters, discover
#   watching/          LinkMonitor
#   _syscalls          system calls that only the commands make: unshare, mount
#   diagnosis          what is allowed on this machine
#   _metrics           the names of the metrics for Prometheus
#   _scrape            finds and reads the containers of this host for Prometheus
#   prometheus         ContainerCollector, for prometheus_client; imported by its own name
#   cli/               the commands
#
# `import pynetstrat` loads what bringing `lo` up needs. Any other name is loaded when it is looked
# up (PEP 562), with everything that its calls need, so that no call imports a module. Type checkers
# and editors read __init__.pyi instead of this file.

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
    "FinalCounters",
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

# The modules of the names that are loaded when they are looked up.
_HOMES = {
    "Address": "rtnetlink.links",
    "Batch": "rtnetlink.batch",
    "BatchError": "rtnetlink.batch",
    "Container": "counting.naming",
    "ContainerCounters": "counting.containers",
    "ContainerTable": "counters",
    "CounterTable": "counters",
    "Discovery": "counting.discovery",
    "Event": "rtnetlink.links",
    "FinalCounters": "counters",
    "Finding": "diagnosis",
    "HostCounters": "counting.host",
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


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Not importlib.import_module: importlib takes a quarter of the time of `import pynetstrat`.
    value: object = getattr(__import__(_HOMES[name], globals(), level=1, fromlist=[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
