"""`LinkState` turns datagrams into events."""

from __future__ import annotations

import socket
import struct
from dataclasses import replace

import pytest
from helpers_watching import cursor
from hypothesis import given, settings
from hypothesis import strategies as st
from support import sample

from pynetstrat.watching._state import LinkState

NLMSG_ERROR, NLMSG_DONE = 2, 3
NEWLINK, DELLINK, GETLINK, NEWADDR, DELADDR, GETADDR = 16, 17, 18, 20, 21, 22
MULTI, INTERRUPTED = 2, 16
PORT, SEQUENCE = 4711, 9
AF_INET, AF_INET6, AF_BRIDGE = 2, 10, 7
IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_MASTER = 3, 4, 5, 10
IFLA_WIRELESS, IFLA_PROTINFO, IFLA_LINKINFO, IFLA_LINK_NETNSID = 11, 12, 18, 37


def attribute(attribute_type: int, payload: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(payload), attribute_type) + payload + bytes(-len(payload) % 4)


def message(
    message_type: int, body: bytes, flags: int = 0, sequence: int = 0, port: int = 0
) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), message_type, flags, sequence, port) + body


def link_body(
    index: int,
    name: str,
    mtu: int = 1500,
    kind: str = "ifb",
    family: int = 0,
    peer: int = 0,
    nsid: int | None = None,
) -> bytes:
    info = attribute(IFLA_LINKINFO, attribute(1, kind.encode() + b"\0"))
    return (
        struct.pack("=BxHiII", family, 1, index, 1, 0)
        + attribute(IFLA_IFNAME, name.encode() + b"\0")
        + attribute(IFLA_MTU, struct.pack("=I", mtu))
        + (info if family == 0 else b"")
        + (attribute(IFLA_LINK, struct.pack("=i", peer)) if peer else b"")
        + (attribute(IFLA_LINK_NETNSID, struct.pack("=i", nsid)) if nsid is not None else b"")
    )


def address_body(index: int, text: str, flags: int = 0x80, valid: int | None = None) -> bytes:
    bytes_ = socket.inet_aton(text)
    body = struct.pack("=BBBBI", AF_INET, 24, flags, 0, index)
    body += attribute(1, bytes_) + attribute(2, bytes_)
    if valid is not None:
        body += attribute(6, struct.pack("=IIII", valid, valid, 0, 0))
    return body


def notification(body: bytes, message_type: int = NEWLINK) -> bytes:
    return message(message_type, body)


def reply(
    body: bytes, message_type: int = NEWLINK, flags: int = MULTI, sequence: int = SEQUENCE
) -> bytes:
    return message(message_type, body, flags, sequence, PORT)


def done(flags: int = MULTI, verdict: int = 0, sequence: int = SEQUENCE) -> bytes:
    return message(NLMSG_DONE, struct.pack("=i", verdict), flags, sequence, PORT)


def refused(errno: int, sequence: int = SEQUENCE) -> bytes:
    header = struct.pack("=IHHII", 32, GETLINK, 0x301, sequence, PORT)
    return message(NLMSG_ERROR, struct.pack("=i", -errno) + header + bytes(16), 0, sequence, PORT)


class Driver:
    """Drives a state, with a new sequence number for each request."""

    def __init__(self, addresses: bool = False) -> None:
        self.state = LinkState(addresses)
        self.requests: list[int] = []
        self.links: list[str] = []
        self.sequence = SEQUENCE - 1

    def pump(self) -> None:
        if self.state.next_dump:
            self.sequence += 1
            self.requests.append(self.state.next_dump)
            self.state.requested(self.sequence, PORT)

    def empty(self) -> None:
        """Tells the state that the queue is empty."""
        self.links += self.state.idle()
        self.pump()

    def lose(self) -> None:
        """Loses a message, so that everything is dumped again."""
        self.feed(b"", missing=1)
        self.empty()

    def answer(self, *replies: bytes, flags: int = MULTI) -> list[tuple[str, ...]]:
        """Answers the running dump with these bodies of links."""
        messages = [reply(body, sequence=self.sequence) for body in replies]
        return self.feed(*messages, done(flags, sequence=self.sequence))

    def feed(self, *datagrams: bytes, missing: int = 0) -> list[tuple[str, ...]]:
        for datagram in datagrams:
            self.state.feed(cursor(datagram, missing))
            self.pump()
        return self.take()

    def take(self) -> list[tuple[str, ...]]:
        """Each event as its kind, the name or address, and the previous name or address."""
        found = []
        while self.state.inventory.events:
            event = self.state.inventory.events.popleft()
            thing = event.link or event.address
            texts = [getattr(thing, "name", "") or getattr(thing, "address", "")]
            if event.previous is not None:
                texts.append(
                    getattr(event.previous, "name", "") or getattr(event.previous, "address", "")
                )
            found.append((event.kind, *texts))
        return found


@pytest.fixture
def driver():
    """A driver whose state knows `lo` and the link `a`, with the index 2."""
    driver = Driver()
    driver.empty()
    replies = reply(link_body(1, "lo", kind="x")) + reply(link_body(2, "a"))
    assert driver.feed(replies, done()) == [("added", "lo"), ("added", "a")]
    return driver


def test_no_event_precedes_the_end_of_the_dump():
    driver = Driver()
    driver.empty()
    assert driver.requests == [GETLINK]
    assert driver.feed(reply(link_body(1, "lo"))) == []
    assert driver.feed(reply(link_body(2, "a"))) == []
    assert driver.feed(done()) == [("added", "lo"), ("added", "a")]


def test_a_notification_is_an_event(driver):
    assert driver.feed(notification(link_body(3, "b"))) == [("added", "b")]
    assert driver.feed(notification(link_body(3, "c"))) == [("changed", "c", "b")]
    assert driver.feed(notification(link_body(3, "c"), DELLINK)) == [("removed", "c", "c")]


def test_a_notification_without_news_is_no_event(driver):
    assert driver.feed(notification(link_body(2, "a"))) == []
    assert driver.feed(notification(link_body(9, "z"), DELLINK)) == []


def test_an_event_contains_the_new_and_the_previous_link(driver):
    driver.state.feed(cursor(notification(link_body(2, "a", mtu=9000))))
    (event,) = driver.state.inventory.events
    assert event.link.mtu == 9000
    assert event.previous == replace(event.link, mtu=1500)
    assert event.address is None


def test_a_notification_during_the_dump_is_part_of_it():
    driver = Driver()
    driver.empty()
    assert driver.feed(reply(link_body(1, "lo")), notification(link_body(1, "lo", mtu=9))) == []
    assert driver.feed(notification(link_body(5, "b")), done()) == [("added", "lo"), ("added", "b")]
    assert driver.state.inventory.entries[1].mtu == 9


def test_a_late_message_of_a_dump_does_not_restore_a_deleted_link():
    driver = Driver()
    driver.empty()
    deleted = notification(link_body(2, "a"), DELLINK)
    assert driver.feed(deleted, reply(link_body(2, "a")), done()) == []
    assert driver.state.inventory.entries == {}


@pytest.mark.parametrize("missing", [1, 5000])
def test_a_truncated_datagram_causes_a_dump_once_the_queue_is_empty(driver, missing):
    assert driver.feed(notification(link_body(3, "b"))[:40], missing=missing) == []
    assert driver.requests == [GETLINK]
    driver.empty()
    assert driver.requests == [GETLINK, GETLINK]


def test_replies_to_an_earlier_request_are_ignored(driver):
    driver.lose()
    assert driver.feed(reply(link_body(9, "z")), done(), done(sequence=0)) == []
    assert driver.state.inventory.entries.keys() == {1, 2}
    assert driver.feed(done(sequence=driver.sequence))[0] == ("removed", "lo", "lo")


def dump_again(driver, *links, kind="ifb", flags=MULTI):
    """Loses a message, and answers the dump that follows."""
    driver.lose()
    return driver.answer(*(link_body(*link, kind=kind) for link in links), flags=flags)


def test_a_new_dump_reports_removals_before_changes_and_additions(driver):
    driver.feed(notification(link_body(3, "b")))
    assert dump_again(driver, (2, "c"), (4, "a")) == [
        ("removed", "lo", "lo"),
        ("removed", "b", "b"),
        ("changed", "c", "a"),
        ("added", "a"),
    ]


def test_a_new_dump_without_news_gives_no_event(driver):
    driver.feed(notification(link_body(1, "lo"), DELLINK))
    assert dump_again(driver, (2, "a")) == []


def test_a_reused_index_is_another_link(driver):
    again = [("removed", "a", "a"), ("added", "b")]
    assert (
        driver.feed(notification(link_body(2, "a"), DELLINK), notification(link_body(2, "b")))
        == again
    )
    assert ("removed", "b", "b") in dump_again(
        driver, (2, "b"), kind="bridge"
    )  # also if the deletion was lost


def test_an_index_reused_during_a_dump_is_another_link(driver):
    driver.lose()
    deleted, created = notification(link_body(2, "a"), DELLINK), notification(link_body(2, "a"))
    lo = reply(link_body(1, "lo", kind="x"), sequence=10)
    events = driver.feed(
        lo, reply(link_body(2, "a"), sequence=10), deleted, created, done(sequence=10)
    )
    assert events == [("removed", "a", "a"), ("added", "a")]


def test_a_loss_during_a_dump_discards_that_dump(driver):
    driver.lose()
    assert driver.feed(reply(link_body(7, "x"), sequence=10)) == []
    assert driver.feed(b"", missing=1) == []
    assert driver.feed(done(sequence=10)) == []
    assert driver.state.inventory.entries.keys() == {1, 2}
    driver.empty()
    assert driver.feed(done(sequence=11)) == [("removed", "lo", "lo"), ("removed", "a", "a")]


def test_an_inconsistent_dump_is_repeated_a_bounded_number_of_times(driver):
    driver.lose()
    events = []
    while not events:
        number = driver.sequence
        events = driver.feed(
            reply(link_body(3, "b"), flags=MULTI | INTERRUPTED, sequence=number),
            done(sequence=number),
        )
    assert driver.requests == [GETLINK] * 18
    assert events == [("removed", "lo", "lo"), ("removed", "a", "a"), ("added", "b")]


def test_a_repeated_dump_keeps_the_notifications_of_the_former_one(driver):
    driver.lose()
    driver.feed(notification(link_body(3, "b")), reply(link_body(4, "c"), sequence=10))
    driver.feed(done(MULTI | INTERRUPTED, sequence=10))
    assert driver.requests == [GETLINK] * 3
    events = driver.feed(reply(link_body(2, "a"), sequence=11), done(sequence=11))
    assert events == [("removed", "lo", "lo"), ("added", "b")]


def test_a_refused_dump_is_a_failure(driver):
    driver.lose()
    assert driver.feed(refused(1, sequence=10)) == []
    assert driver.state.failure.errno == 1
    assert driver.state.failure.operation == "RTM_GETLINK"
    assert driver.state.is_stale


def test_a_dump_that_ends_with_an_error_is_a_failure(driver):
    driver.lose()
    driver.feed(done(verdict=-12, sequence=10))
    assert driver.state.failure.errno == 12


def test_a_bare_ack_is_not_the_end_of_a_dump(driver):
    driver.lose()
    driver.feed(refused(0, sequence=10))
    assert driver.state.failure.errno == 74  # EBADMSG
    assert driver.state.inventory.entries.keys() == {1, 2}


def test_a_malformed_message_of_a_dump_is_a_failure(driver):
    driver.lose()
    driver.feed(reply(link_body(0, "a"), sequence=10))
    assert driver.state.failure.errno == 74  # EBADMSG


def test_a_dump_that_is_refused_with_ebusy_is_requested_again(driver):
    driver.lose()
    driver.feed(refused(16, sequence=10))
    assert driver.state.failure is None
    driver.empty()
    assert driver.requests == [GETLINK] * 3


def test_a_notification_may_carry_our_port_and_sequence_number(driver):
    """If the request was made in another namespace, both belong to another socket."""
    caused = message(NEWLINK, link_body(3, "b"), 0, driver.sequence, PORT)
    assert driver.feed(caused) == [("added", "b")]
    driver.lose()
    caused = message(NEWLINK, link_body(4, "c"), 0, driver.sequence, PORT)
    assert ("added", "c") in driver.feed(caused, done(sequence=driver.sequence))


def test_a_port_that_leaves_a_bridge_is_not_removed(driver):
    assert driver.feed(notification(link_body(2, "a", family=AF_BRIDGE), DELLINK)) == []


def test_a_bridge_notification_updates_only_the_settings_of_a_port(driver):
    port = attribute(IFLA_PROTINFO | 0x8000, attribute(4, b"\1"))  # IFLA_BRPORT_MODE
    body = link_body(2, "a", mtu=7, family=AF_BRIDGE) + port
    assert driver.feed(notification(body)) == [("changed", "a", "a")]
    assert driver.state.inventory.entries[2].hairpin is True
    assert driver.state.inventory.entries[2].mtu == 1500
    assert driver.feed(notification(body)) == []
    assert driver.feed(notification(link_body(77, "z", family=AF_BRIDGE) + port)) == []


def test_a_wireless_event_is_not_taken_for_a_link(driver):
    body = struct.pack("=BxHiII", 0, 1, 2, 1, 0) + attribute(IFLA_IFNAME, b"a\0")
    assert driver.feed(notification(body + attribute(IFLA_WIRELESS, bytes(8)))) == []
    assert driver.state.inventory.entries[2].mtu == 1500
    assert driver.state.is_stale


def test_a_veth_that_was_announced_without_its_peer_is_requested(driver):
    driver.feed(notification(link_body(3, "v1", kind="veth")))
    driver.feed(notification(link_body(4, "v0", kind="veth", peer=3)))
    driver.empty()
    assert driver.links == ["v1"]
    answer = message(NEWLINK, link_body(3, "v1", kind="veth", peer=4), 0, 1, PORT)
    assert driver.feed(answer) == [("changed", "v1", "v1")]
    driver.empty()
    assert driver.links == ["v1"]
    assert driver.requests == [GETLINK]


@pytest.mark.parametrize(("errno", "dumps"), [(19, 1), (12, 2)])  # ENODEV, ENOMEM
def test_a_failed_request_for_a_link_causes_a_dump_unless_the_link_is_gone(driver, errno, dumps):
    driver.feed(notification(link_body(3, "v1", kind="veth")))
    driver.empty()
    assert driver.links == ["v1"]
    driver.feed(refused(errno, sequence=SEQUENCE + 1))
    driver.empty()
    assert driver.requests == [GETLINK] * dumps
    assert driver.state.failure is None


def test_a_veth_whose_peer_has_left_is_requested(driver):
    driver.feed(notification(link_body(3, "v1", kind="veth", peer=4)))
    driver.feed(notification(link_body(4, "v0", kind="veth", peer=3)))
    driver.empty()
    driver.feed(notification(link_body(4, "v0"), DELLINK))
    driver.empty()
    assert driver.links == ["v1"]


def test_a_link_whose_parent_has_left_is_requested_and_again_when_any_link_arrives(driver):
    driver.feed(notification(link_body(3, "m0", kind="macvlan", peer=2)))
    driver.empty()
    assert driver.links == []
    driver.feed(notification(link_body(2, "a"), DELLINK))
    driver.empty()
    assert driver.links == ["m0"]
    moved = link_body(3, "m0", kind="macvlan", peer=2, nsid=0)
    driver.feed(message(NEWLINK, moved, 0, 1, PORT))
    driver.empty()
    assert driver.links == ["m0"]
    driver.feed(notification(link_body(9, "a")))
    driver.empty()
    assert driver.links == ["m0", "m0"]
    returned = link_body(3, "m0", kind="macvlan", peer=9)
    assert driver.feed(message(NEWLINK, returned, 0, 1, PORT)) == [("changed", "m0", "m0")]
    driver.feed(notification(link_body(10, "b")))
    driver.empty()
    assert driver.links == ["m0", "m0"]
    driver.feed(notification(link_body(9, "a"), DELLINK))
    driver.empty()
    assert driver.links == ["m0", "m0", "m0"]


def test_a_veth_with_a_peer_in_another_namespace_is_not_requested_when_another_link_arrives(driver):
    driver.feed(notification(link_body(3, "v0", kind="veth", peer=2, nsid=0)))
    driver.feed(notification(link_body(4, "b")))
    driver.empty()
    assert driver.links == []


def test_a_deleted_pair_is_not_requested(driver):
    driver.feed(notification(link_body(3, "v1", kind="veth", peer=4)))
    driver.feed(notification(link_body(4, "v0", kind="veth", peer=3)))
    driver.feed(
        notification(link_body(4, "v0"), DELLINK) + notification(link_body(3, "v1"), DELLINK)
    )
    driver.empty()
    assert driver.links == []


def test_a_dump_replaces_requests_for_many_links(driver):
    driver.feed(*(notification(link_body(n, f"v{n}", kind="veth")) for n in range(10, 30)))
    driver.empty()
    assert driver.links == []
    assert driver.requests == [GETLINK, GETLINK]


def test_dump_messages_of_other_types_are_ignored(driver):
    driver.lose()
    bridge = reply(link_body(3, "b", family=AF_BRIDGE), sequence=10)
    other = reply(address_body(2, "192.0.2.1"), NEWADDR, sequence=10)
    same = reply(link_body(1, "lo", kind="x"), sequence=10) + reply(link_body(2, "a"), sequence=10)
    assert driver.feed(bridge, other, same, done(sequence=10)) == []
    assert driver.state.inventory.entries.keys() == {1, 2}


# ---- addresses ----


@pytest.fixture
def addressed():
    driver = Driver(addresses=True)
    driver.empty()
    driver.feed(reply(link_body(2, "a")), done())
    assert driver.requests == [GETLINK, GETADDR]
    replies = reply(address_body(2, "192.0.2.1"), NEWADDR, sequence=10)
    events = driver.feed(replies, done(sequence=10))
    assert events == [("added", "a"), ("address-added", "192.0.2.1/24")]
    return driver


def test_addresses_appear_and_disappear(addressed):
    body = address_body(2, "192.0.2.2")
    assert addressed.feed(notification(body, NEWADDR)) == [("address-added", "192.0.2.2/24")]
    assert addressed.feed(notification(body, NEWADDR)) == []
    removed = [("address-removed", "192.0.2.2/24", "192.0.2.2/24")]
    assert addressed.feed(notification(body, DELADDR)) == removed
    assert addressed.feed(notification(body, DELADDR)) == []


def test_an_address_with_new_flags_is_reported_with_the_previous_one(addressed):
    body = address_body(2, "192.0.2.1", flags=0xC0)
    events = [("address-added", "192.0.2.1/24", "192.0.2.1/24")]
    assert addressed.feed(notification(body, NEWADDR)) == events


def test_an_elapsing_lifetime_is_no_event(addressed):
    first = notification(address_body(2, "192.0.2.9", valid=100), NEWADDR)
    second = notification(address_body(2, "192.0.2.9", valid=99), NEWADDR)
    assert len(addressed.feed(first)) == 1
    assert addressed.feed(second) == []
    assert addressed.state.inventory.entries[2, "192.0.2.9/24", ""].valid == 99


def test_the_addresses_of_a_removed_link_are_removed(addressed):
    addressed.feed(notification(address_body(2, "192.0.2.2"), NEWADDR))
    assert [event[0] for event in addressed.feed(notification(link_body(2, "a"), DELLINK))] == [
        *("address-removed", "address-removed", "removed")
    ]


class Searched(dict):
    """Counts the searches of all entries."""

    searches = 0

    def __iter__(self):
        Searched.searches += 1
        return super().__iter__()

    def values(self):
        Searched.searches += 1
        return super().values()


def test_removing_many_links_does_not_search_everything_for_each(addressed):
    numbers = range(10, 310)
    for number in numbers:
        addressed.feed(notification(link_body(number, f"v{number}", kind="veth", peer=number ^ 1)))
        addressed.feed(notification(address_body(number, "192.0.2.7"), NEWADDR))
    addressed.empty()
    addressed.state.inventory.entries = Searched(addressed.state.inventory.entries)
    Searched.searches = 0
    events = []
    for number in numbers:
        events += addressed.feed(notification(link_body(number, f"v{number}"), DELLINK))
        addressed.empty()
    assert len(events) == 600
    assert Searched.searches == 0
    assert addressed.state.inventory.entries.keys() == {2, (2, "192.0.2.1/24", "")}
    assert addressed.state.inventory._addresses_of.keys() == {2}
    assert not addressed.state.inventory._dependents


def test_a_dump_that_lacks_many_links_does_not_search_everything_for_each(addressed):
    for number in range(10, 310):
        addressed.feed(notification(link_body(number, f"v{number}")))
        addressed.feed(notification(address_body(number, "192.0.2.7"), NEWADDR))
    addressed.state.inventory.entries = Searched(addressed.state.inventory.entries)
    Searched.searches = 0
    addressed.lose()
    addressed.feed(reply(link_body(2, "a"), sequence=11), done(sequence=11))
    events = addressed.feed(done(sequence=12))
    assert len(events) == 601
    assert Searched.searches < 10
    assert addressed.state.inventory.entries.keys() == {2}


def test_lost_notifications_of_addresses_cause_a_dump(addressed):
    addressed.lose()
    addressed.feed(reply(link_body(2, "a"), sequence=11), done(sequence=11))
    assert addressed.requests == [GETLINK, GETADDR] * 2
    replies = reply(address_body(2, "192.0.2.7"), NEWADDR, sequence=12)
    assert addressed.feed(replies, done(sequence=12)) == [
        ("address-removed", "192.0.2.1/24", "192.0.2.1/24"),
        ("address-added", "192.0.2.7/24"),
    ]


def test_a_dumped_address_does_not_override_a_notification(addressed):
    addressed.lose()
    addressed.feed(reply(link_body(2, "a"), sequence=11), done(sequence=11))
    late = reply(address_body(2, "192.0.2.1"), NEWADDR, sequence=12)
    deleted = notification(address_body(2, "192.0.2.1"), DELADDR)
    events = addressed.feed(deleted, late, done(sequence=12))
    assert events == [("address-removed", "192.0.2.1/24", "192.0.2.1/24")]


def test_a_dumped_address_does_not_override_newer_flags(addressed):
    addressed.lose()
    addressed.feed(reply(link_body(2, "a"), sequence=11), done(sequence=11))
    noted = notification(address_body(2, "192.0.2.1", flags=0xC0), NEWADDR)
    late = reply(address_body(2, "192.0.2.1"), NEWADDR, sequence=12)
    events = addressed.feed(noted, late, done(sequence=12))
    assert events == [("address-added", "192.0.2.1/24", "192.0.2.1/24")]
    assert addressed.state.inventory.entries[2, "192.0.2.1/24", ""].tentative


def test_addresses_of_other_families_are_left_out(addressed):
    body = struct.pack("=BBBBI", 77, 24, 0, 0, 2) + attribute(1, bytes(4))
    assert addressed.feed(notification(body, NEWADDR)) == []
    assert not addressed.state.is_stale


# ---- hostile bytes ----

VECTORS = [
    notification(link_body(2, "a", mtu=1400)),
    notification(link_body(2, "a"), DELLINK),
    notification(link_body(3, "b")) + notification(link_body(4, "c")),
    notification(address_body(2, "192.0.2.2", valid=9), NEWADDR),
    notification(address_body(2, "192.0.2.1"), DELADDR),
    notification(
        link_body(2, "a", family=AF_BRIDGE) + attribute(IFLA_PROTINFO, attribute(4, b"\1"))
    ),
    reply(link_body(2, "a")),
    done(),
    refused(1),
]


@pytest.mark.parametrize("vector", VECTORS)
@pytest.mark.parametrize("dumping", [False, True])
def test_a_datagram_cut_at_any_length_causes_a_dump(vector, dumping):
    for length in range(len(vector)):
        driver = Driver(addresses=True)
        driver.empty()
        if not dumping:
            driver.feed(reply(link_body(2, "a")), done(), done(sequence=10))
        driver.feed(vector[:length], missing=len(vector) - length)
        assert driver.state.is_stale
        driver.empty()
        assert driver.requests[-1] == GETLINK


@pytest.mark.slow
@pytest.mark.parametrize("vector", VECTORS)
def test_a_datagram_with_any_byte_changed_does_no_harm(vector):
    """Afterwards a dump restores the right state."""
    for at in range(len(vector)):
        for change in (1, 2, 4, 8, 16, 32, 64, 128, 255):
            driver = Driver(addresses=True)
            driver.empty()
            driver.feed(reply(link_body(2, "a")), done(), done(sequence=10))
            bad = bytearray(vector)
            bad[at] ^= change
            driver.feed(bytes(bad))
            driver.state.lose()
            driver.empty()
            driver.feed(reply(link_body(2, "a"), sequence=driver.sequence))
            driver.feed(done(sequence=driver.sequence))
            driver.feed(done(sequence=driver.sequence))
            assert driver.state.inventory.entries.keys() == {2}
            assert driver.state.inventory.entries[2].name == "a"


@st.composite
def datagrams(draw):
    """Any bytes, or a sequence of messages with some bytes changed; and how many were cut off."""
    data = draw(
        st.one_of(st.binary(max_size=120), st.lists(st.sampled_from(VECTORS)).map(b"".join))
    )
    changed = bytearray(data)
    for at, value in draw(
        st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4)
    ):
        if at < len(changed):
            changed[at] = value
    return bytes(changed[: draw(st.integers(0, len(changed)))]), draw(st.sampled_from((0, 0, 0, 9)))


@pytest.mark.slow
@settings(max_examples=len(sample(range(450), step=9)))
@given(st.lists(st.one_of(st.none(), datagrams()), max_size=12))
def test_no_datagram_does_harm(received):
    """Each event fits the events before it, which describe the final state. None: an empty queue.

    A bounded number of requests is made, however the kernel answers.
    """
    driver = Driver(addresses=True)
    driver.empty()
    known = {}
    for item in received:
        if item is None:
            driver.empty()
        else:
            driver.state.feed(cursor(*item))
            driver.pump()
        driver.state.failure = None
        while driver.state.inventory.events:
            event = driver.state.inventory.events.popleft()
            thing = event.link or event.address
            link = event.link is not None
            key = thing.index if link else (thing.ifindex, thing.address, thing.peer)
            assert event.previous == known.get(key) or event.previous.valid is not None
            assert link or thing.ifindex in known
            if event.kind.endswith("removed"):
                del known[key]
            else:
                known[key] = thing
    assert known.keys() == driver.state.inventory.entries.keys()
    most = sum(2 if item is None else 1 + len(item[0]) // 16 for item in received)
    assert len(driver.requests) <= 1 + most
