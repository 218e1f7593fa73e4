"""Network strategies for containers, and interface counters, at the price of the system calls.

What a program that only brings `lo` up does not need is loaded when it is first used (PEP 562).
"""

from .errors import (
    CounterNotFoundError,
    CounterParseError,
    InterfaceNotFoundError,
    InvalidCounterNameError,
    InvalidInterfaceNameError,
    KernelError,
    NetlinkUnavailableError,
    NetstratError,
    PermissionDeniedError,
    StrategyLoadError,
    UnknownStrategyError,
)

# Not on first use: the module's name, set on the package when it is loaded, is also a function's.
from .strategies import (
    Loopback,
    NetworkStrategy,
    get_strategy,
    register_strategy,
    strategies,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .network import Network, NetworkInterface
    from .rtnetlink import Counters, RtnetlinkSocket, link_set_up
    from .stats import SysfsReader, get_network_interface_stats, read_sysfs_network_stats

__version__ = "0.1.0"

__all__ = [
    "CounterNotFoundError",
    "CounterParseError",
    "Counters",
    "InterfaceNotFoundError",
    "InvalidCounterNameError",
    "InvalidInterfaceNameError",
    "KernelError",
    "Loopback",
    "NetlinkUnavailableError",
    "NetstratError",
    "Network",
    "NetworkInterface",
    "NetworkStrategy",
    "PermissionDeniedError",
    "RtnetlinkSocket",
    "StrategyLoadError",
    "SysfsReader",
    "UnknownStrategyError",
    "get_network_interface_stats",
    "get_strategy",
    "link_set_up",
    "read_sysfs_network_stats",
    "register_strategy",
    "strategies",
]

_HOMES = {
    "Counters": "rtnetlink",
    "Network": "network",
    "NetworkInterface": "network",
    "RtnetlinkSocket": "rtnetlink",
    "SysfsReader": "stats",
    "get_network_interface_stats": "stats",
    "link_set_up": "rtnetlink",
    "read_sysfs_network_stats": "stats",
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
