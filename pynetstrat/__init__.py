"""The network half of a container runtime: wires containers, counts traffic, watches links.

Every public name is reached from this package; the exceptions are `pynetstrat.prometheus`, which
needs prometheus_client, and `pynetstrat.pytest_plugin`, which needs pytest.
"""

# The layout. A module uses only modules listed above it:
#
#   errors             exceptions
#   types              the types of arguments, for annotations
#   _dataclass         dataclasses that load fast
#   _partial           functools.partial
#   _native/           the binding of the C core (csrc/): the only code that touches ffi or lib
#   _handle            objects that are closed once and used by one thread at a time
#   strategy           the registry of strategies; Loopback
#   counters           NetworkInterface, CounterTable
#   rtnetlink/         Link, Address, Route; Batch; RtnetlinkSocket
#   _sysfs_proof       whether /sys shows the calling thread's namespace
#   sysfs              counters from files
#   _namespace_thread  runs a function in a thread that has entered a namespace
#   _syscalls          unshare, mount and their like, for programs that are started
#   _private_sys       a /sys of a program's own
#   _etc_netns         the files of /etc that are replaced for a program
#   _children          child processes in a namespace
#   namespace          NetworkNamespace
#   wiring/            Network, Veth, Macvlan, HostDevice; set_up_networks and its like
#   counting/          ContainerCounters, HostCounters, discover
#   watching/          LinkMonitor
#   diagnosis          what is allowed on this machine
#   _metrics           the names of the metrics for Prometheus
#   _scrape            finds and reads the containers of this host for Prometheus
#   cni/               the CNI plugin
#   prometheus         ContainerCollector, for prometheus_client; imported by its own name
#   pytest_plugin      fixtures for pytest, which loads it by itself
#   cli/               the commands
#
# A name is loaded when it is looked up (PEP 562), with everything that its calls need, so that no
# call imports a module. `import pynetstrat` alone loads nothing, because every session of pytest
# imports the package for its plug-in. Type checkers and editors read __init__.pyi instead.

__version__ = "0.3.0.dev0"

# The modules of the public names.
_MODULES = {
    "Address": "rtnetlink.links",
    "Batch": "rtnetlink.batch",
    "BatchError": "errors",
    "Container": "counting.naming",
    "ContainerCounters": "counting.containers",
    "ContainerTable": "counters",
    "CounterNotFoundError": "errors",
    "CounterParseError": "errors",
    "CounterTable": "counters",
    "Discovery": "counting.discovery",
    "Event": "rtnetlink.links",
    "FinalCounters": "counters",
    "Finding": "diagnosis",
    "ForeignSysfsError": "errors",
    "HostCounters": "counting.host",
    "HostDevice": "wiring.host_device",
    "InterfaceNotFoundError": "errors",
    "InvalidCounterNameError": "errors",
    "InvalidInterfaceNameError": "errors",
    "InvalidNetworkError": "errors",
    "KernelError": "errors",
    "Link": "rtnetlink.links",
    "LinkMonitor": "watching.monitor",
    "Loopback": "strategy",
    "Macvlan": "wiring.macvlan",
    "Name": "types",
    "NetlinkUnavailableError": "errors",
    "Netns": "types",
    "NetstratError": "errors",
    "Network": "wiring.network",
    "NetworkInterface": "counters",
    "NetworkNamespace": "namespace",
    "NetworkStrategy": "strategy",
    "OwnedLink": "wiring.owned",
    "PENDING": "rtnetlink.batch",
    "PermissionDeniedError": "errors",
    "Perspective": "types",
    "Qdisc": "rtnetlink.links",
    "Route": "rtnetlink.links",
    "RtnetlinkSocket": "rtnetlink.socket",
    "StrategyLoadError": "errors",
    "SysfsReader": "sysfs",
    "TeardownError": "errors",
    "UnknownStrategyError": "errors",
    "Veth": "wiring.veth",
    "check_networks": "wiring.setup",
    "diagnose": "diagnosis",
    "disable_egress": "wiring.egress",
    "discover": "counting.discovery",
    "enable_egress": "wiring.egress",
    "get_network_interface_stats": "sysfs",
    "get_strategy": "strategy",
    "link_set_down": "_native",
    "link_set_up": "_native",
    "list_owned": "wiring.owned",
    "read_sysfs_network_stats": "sysfs",
    "register_strategy": "strategy",
    "set_up_networks": "wiring.setup",
    "strategies": "wiring.plugins",
    "tear_down_networks": "wiring.setup",
}

__all__ = list(_MODULES)


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Not importlib.import_module: importlib takes a quarter of the time of `import pynetstrat`.
    value: object = getattr(__import__(_MODULES[name], globals(), level=1, fromlist=[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
