"""Every public name and where it is defined, for type checkers and editors."""

# ruff: noqa: I001  # isort would repeat the module for each name

from ._native import (
    link_set_down as link_set_down,
    link_set_up as link_set_up,
)
from .counters import (
    ContainerTable as ContainerTable,
    CounterTable as CounterTable,
    FinalCounters as FinalCounters,
    NetworkInterface as NetworkInterface,
)
from .counting.containers import (
    ContainerCounters as ContainerCounters,
)
from .counting.discovery import (
    Discovery as Discovery,
    discover as discover,
)
from .counting.host import (
    HostCounters as HostCounters,
)
from .counting.naming import (
    Container as Container,
)
from .diagnosis import (
    Finding as Finding,
    diagnose as diagnose,
)
from .errors import (
    BatchError as BatchError,
    CounterNotFoundError as CounterNotFoundError,
    CounterParseError as CounterParseError,
    ForeignSysfsError as ForeignSysfsError,
    InterfaceNotFoundError as InterfaceNotFoundError,
    InvalidCounterNameError as InvalidCounterNameError,
    InvalidInterfaceNameError as InvalidInterfaceNameError,
    InvalidNetworkError as InvalidNetworkError,
    KernelError as KernelError,
    NetlinkUnavailableError as NetlinkUnavailableError,
    NetstratError as NetstratError,
    PermissionDeniedError as PermissionDeniedError,
    StrategyLoadError as StrategyLoadError,
    TeardownError as TeardownError,
    UnknownStrategyError as UnknownStrategyError,
)
from .namespace import (
    NetworkNamespace as NetworkNamespace,
)
from .rtnetlink.batch import (
    PENDING as PENDING,
    Batch as Batch,
)
from .rtnetlink.links import (
    Address as Address,
    Event as Event,
    Link as Link,
    Qdisc as Qdisc,
    Route as Route,
)
from .rtnetlink.socket import (
    RtnetlinkSocket as RtnetlinkSocket,
)
from .strategy import (
    Loopback as Loopback,
    NetworkStrategy as NetworkStrategy,
    get_strategy as get_strategy,
    register_strategy as register_strategy,
)
from .sysfs import (
    SysfsReader as SysfsReader,
    get_network_interface_stats as get_network_interface_stats,
    read_sysfs_network_stats as read_sysfs_network_stats,
)
from .types import (
    Name as Name,
    Netns as Netns,
    Perspective as Perspective,
)
from .watching.monitor import (
    LinkMonitor as LinkMonitor,
)
from .wiring.egress import (
    disable_egress as disable_egress,
    enable_egress as enable_egress,
)
from .wiring.host_device import (
    HostDevice as HostDevice,
)
from .wiring.macvlan import (
    Macvlan as Macvlan,
)
from .wiring.network import (
    Network as Network,
)
from .wiring.owned import (
    OwnedLink as OwnedLink,
    list_owned as list_owned,
)
from .wiring.plugins import (
    strategies as strategies,
)
from .wiring.setup import (
    check_networks as check_networks,
    set_up_networks as set_up_networks,
    tear_down_networks as tear_down_networks,
)
from .wiring.veth import (
    Veth as Veth,
)

__version__: str
