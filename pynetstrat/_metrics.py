"""The metrics of a scrape: their names and help texts, and `Reading`, their values."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    # The labels of one interface: names and values, in the order of the names.
    Labels = tuple[tuple[str, str], ...]
    Gauge = tuple[str, str]

_DROPPED = (
    " If the interface is an end of a veth pair, these are the packets that the host end dropped"
    " while {}; drops of the container end are unknown."
)

# The name without "_total", and the help text of each counter, in the order of the fields of
# NetworkInterface. The names are cAdvisor's.
COUNTERS = (
    (
        "container_network_receive_bytes",
        "Bytes that the container has received on the interface.",
    ),
    (
        "container_network_receive_packets",
        "Packets that the container has received on the interface.",
    ),
    (
        "container_network_receive_errors",
        "Packets that arrived at the container's interface with an error.",
    ),
    (
        "container_network_receive_packets_dropped",
        "Packets to the container that were dropped." + _DROPPED.format("transmitting"),
    ),
    (
        "container_network_transmit_bytes",
        "Bytes that the container has sent on the interface.",
    ),
    (
        "container_network_transmit_packets",
        "Packets that the container has sent on the interface.",
    ),
    (
        "container_network_transmit_errors",
        "Packets that the container could not send because of an error.",
    ),
    (
        "container_network_transmit_packets_dropped",
        "Packets from the container that were dropped." + _DROPPED.format("receiving"),
    ),
)

# The name and the help text of each gauge. A scrape that failed has only the first two.
ERROR = ("pynetstrat_scrape_error", "1 if the containers could not be read, otherwise 0.")
DURATION = (
    "pynetstrat_scrape_duration_seconds",
    "Seconds that finding the containers and reading their counters took.",
)
CONTAINERS = ("pynetstrat_containers", "Containers in this scrape that have not ended.")
ENDED = (
    "pynetstrat_containers_ended",
    "Containers in this scrape that have ended, with their final counters.",
)
REFUSED = (
    "pynetstrat_containers_refused",
    "Containers that were found, but that this process is not allowed to read.",
)
HIDDEN = (
    "pynetstrat_processes_hidden",
    "Processes whose namespaces this process cannot see; their containers may be missing.",
)
OMITTED = (
    "pynetstrat_namespaces_omitted",
    "Network namespaces left out because of the limit on their number.",
)
UNSEEN = (
    "pynetstrat_namespaces_unseen",
    "Network namespaces in this scrape without a visible process or a name in /run/netns.",
)
INTERFACES_OMITTED = (
    "pynetstrat_interfaces_omitted",
    "Interfaces left out because their container has too many.",
)
GAUGES = (
    *(ERROR, DURATION, CONTAINERS, ENDED, REFUSED, HIDDEN, OMITTED, UNSEEN, INTERFACES_OMITTED),
)


class Reading:
    """The values of one scrape.

    Attributes:
        rows: the labels of each interface. It is the same object as in the last reading if no
            row was added, removed or moved.
        columns: for each of COUNTERS its values, in the order of `rows`.
        gauges: the values of GAUGES. A gauge that is missing is unknown.
    """

    __slots__ = ("columns", "gauges", "rows")

    def __init__(
        self, rows: tuple[Labels, ...], columns: list[list[int]], gauges: dict[Gauge, float]
    ) -> None:
        self.rows = rows
        self.columns = columns
        self.gauges = gauges
