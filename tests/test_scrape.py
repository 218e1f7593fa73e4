"""_scrape.py: which rows a reading has, and how long those of ended containers stay."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator

import pytest
import support
from helpers_network import process_carriers

from pynetstrat import Batch, Container, NetworkNamespace
from pynetstrat._metrics import CONTAINERS, ENDED, ERROR, Reading
from pynetstrat._native.containers import IdRecorder
from pynetstrat._scrape import Scrape


def received(reading: Reading) -> dict[tuple[str, str], int]:
    """Returns the received bytes by the labels `container` and `interface`."""
    labels = map(dict, reading.rows)
    keys = [(row["container"], row["interface"]) for row in labels]
    return dict(zip(keys, reading.columns[0], strict=True))


def bytes_of(number: int) -> int:
    return support.seen("eth0", number).rx_bytes


@pytest.fixture
def make(net: support.Links, run: None) -> Callable[[str, int], None]:
    """Makes a named container with eth0, which has received `bytes_of(number)`."""

    def make(name: str, number: int) -> None:
        with NetworkNamespace.create(name) as container:
            support.add_container_veth(net, container.fileno(), f"h{name}", number)

    return make


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time on the monotonic clock, which stands still."""
    now = [1000.0]
    monkeypatch.setattr("pynetstrat._scrape.time.monotonic", lambda: now[0])
    return now


@pytest.fixture
def keeping(net: support.Links, run: None) -> Iterator[Scrape]:
    with Scrape(container="^test-", keep_ended=60) as opened:
        yield opened


def end(name: str, scrape: Scrape) -> Reading:
    """Ends a container; returns the first reading in which it has ended."""
    before = scrape.scrape().gauges[CONTAINERS]
    NetworkNamespace.delete(name)
    readings = iter(scrape.scrape, None)
    return next(one for one in readings if one.gauges[CONTAINERS] < before)


def test_an_ended_container_is_kept_with_its_last_counters_for_the_time_given(keeping, make, clock):
    make("test-a", 3)
    make("test-b", 5)
    expected = received(keeping.scrape())
    assert expected == {("test-a", "eth0"): bytes_of(3), ("test-b", "eth0"): bytes_of(5)}
    end("test-a", keeping)
    reading = keeping.scrape()  # the reading in which the end is noticed may still have counted it
    assert received(reading) == expected
    assert (reading.gauges[CONTAINERS], reading.gauges[ENDED]) == (1, 1)
    assert keeping.scrape().rows is reading.rows
    clock[0] += 59
    support.send_frames("htest-b", 1, 100)
    expected["test-b", "eth0"] += 100
    assert received(keeping.scrape()) == expected
    clock[0] += 1
    reading = keeping.scrape()
    assert received(reading) == {("test-b", "eth0"): bytes_of(5) + 100}
    assert reading.gauges[ENDED] == 0


def test_a_kept_container_has_what_it_sent_and_received_until_its_end(keeping, make, host):
    """Both ends of a pair that is deleted report what they have sent."""
    make("test-a", 3)
    before = keeping.scrape().columns
    with NetworkNamespace.open("test-a") as container:
        container.call(support.send_frames, "eth0", 5, 200)
    support.send_frames("htest-a", 1, 100)
    host.delete_links(["htest-a"])
    assert received(keeping.scrape()) == {}
    end("test-a", keeping)
    columns = keeping.scrape().columns
    assert (columns[0], columns[4]) == ([before[0][0] + 100], [before[4][0] + 1000])


def test_a_container_that_ends_by_itself_has_what_it_received_until_then(keeping, make):
    make("test-a", 3)
    before = keeping.scrape().columns
    support.send_frames("htest-a", 1, 100)
    end("test-a", keeping)
    expected = [before[0][0] + 100]  # as soon as the kernel has deleted the host end, too
    support.wait_until(lambda: keeping.scrape().columns[0] == expected)


@pytest.mark.parametrize("seconds", [10, 0])
def test_a_host_end_that_ends_late_completes_what_was_received(
    keeping, make, host, monkeypatch, seconds
):
    """On a busy machine the kernel deletes it long after it has reported the namespace's end."""
    monkeypatch.setattr("pynetstrat.counting._tracking._LATE", seconds)
    make("test-a", 3)
    before = received(keeping.scrape())
    support.send_frames("htest-a", 7, 100)
    process_pending = IdRecorder.process_pending
    links = keeping._native._native._native.links
    with monkeypatch.context() as delayed:
        delayed.setattr(
            IdRecorder, "process_pending", lambda one: one is links or process_pending(one)
        )
        NetworkNamespace.delete("test-a")
        support.wait_until(lambda: "htest-a" not in host.dump_links())
        readings = [keeping.scrape() for _ in range(3)]  # the container is forgotten
    assert [one.gauges[ENDED] for one in readings] == [1, 1, 1]
    assert received(readings[-1]) == before
    reading = keeping.scrape()
    assert received(reading) == {("test-a", "eth0"): bytes_of(3) + 700 * bool(seconds)}
    assert received(keeping.scrape()) == received(reading)


def test_routed_interfaces_of_ended_containers_are_not_shown(net, run, make):
    make("test-a", 3)
    with (
        NetworkNamespace.open("test-a") as container,
        support.inside(container.fileno()),
        support.Links() as links,
    ):
        links.add_bridge("br0")
    with Scrape(container="^test-", keep_ended=60, routed=False) as scrape:
        expected = received(scrape.scrape())
        assert expected.keys() == {("test-a", "eth0")}
        end("test-a", scrape)
        assert received(scrape.scrape()) == expected


def test_an_ended_container_is_not_kept_unless_asked(make, net, run):
    make("test-a", 3)
    with Scrape(container="^test-") as scrape:
        assert received(scrape.scrape()) == {("test-a", "eth0"): bytes_of(3)}
        end("test-a", scrape)
        assert received(scrape.scrape()) == {}


def test_a_deleted_interface_of_a_live_container_is_not_kept(keeping, make, host):
    make("test-a", 3)
    assert received(keeping.scrape()) == {("test-a", "eth0"): bytes_of(3)}
    host.delete_links(["htest-a"])
    reading = keeping.scrape()
    assert (received(reading), reading.gauges[ENDED]) == ({}, 0)


def test_a_container_that_is_hidden_by_a_filter_is_not_kept(keeping, make):
    make("test-a", 3)
    make("other", 3)
    assert received(keeping.scrape()) == {("test-a", "eth0"): bytes_of(3)}
    NetworkNamespace.delete("other")

    def has_ended() -> bool:
        keeping.scrape()
        return all(one.label != "other" for one in keeping.discovery.containers)

    support.wait_until(has_ended)
    reading = keeping.scrape()
    assert (received(reading), reading.gauges[ENDED]) == ({("test-a", "eth0"): bytes_of(3)}, 0)


def test_a_container_that_takes_the_labels_of_an_ended_one_replaces_it(keeping, make, monkeypatch):
    """The kernel uses an inode again, so all labels can be the same."""
    make("test-a", 3)
    (row,) = keeping.scrape().rows
    end("test-a", keeping)
    assert keeping.scrape().rows == (row,)
    monkeypatch.setattr(Scrape, "_label", lambda _, table: [row for _ in table.keys])
    make("test-b", 5)
    reading = keeping.scrape()
    assert (reading.rows, reading.columns[0], reading.gauges[ENDED]) == ((row,), [bytes_of(5)], 0)


def test_the_rows_of_ended_containers_are_bounded(keeping, make, monkeypatch):
    monkeypatch.setattr("pynetstrat._scrape._MAX_ENDED", 2)
    for number in range(4):
        make(f"test-{number}", number + 1)
    keeping.scrape()
    for number in range(4):
        end(f"test-{number}", keeping)
        keeping.scrape()
    assert received(keeping.scrape()) == {
        ("test-2", "eth0"): bytes_of(3),
        ("test-3", "eth0"): bytes_of(4),
    }


def test_further_labels_are_looked_up_again_after_relabel(net, run, make):
    found = {"pod": "one"}
    asked: list[Container] = []

    def find(container: Container) -> dict[str, str]:
        asked.append(container)
        return found

    make("test-a", 3)
    with Scrape(container="^test-", find_labels=find) as scrape:
        first = scrape.scrape().rows
        found["pod"], found["image"] = "two", "httpd"
        assert scrape.scrape().rows is first and len(asked) == 1
        scrape.relabel()
        (row,) = scrape.scrape().rows
        assert [name for name, _ in row] == ["container", "image", "interface", "netns", "pod"]
        assert dict(row)["pod"] == "two"
        assert len(asked) == 2


def test_a_failed_scrape_has_no_rows_and_the_next_one_has_them_again(keeping, make, monkeypatch):
    make("test-a", 3)
    before = received(keeping.scrape())
    with monkeypatch.context() as patch:
        patch.setattr("pynetstrat.counting.host.HostCounters.refresh", _fail)
        reading = keeping.scrape()
        assert (reading.rows, reading.gauges[ERROR]) == ((), 1)
    assert received(keeping.scrape()) == before


def _fail(_: object) -> None:
    raise OSError(5, "Input/output error")


# ---- between scrapes ----


@pytest.mark.slow
def test_notifications_are_processed_between_scrapes(keeping, make, host):
    """Otherwise the queues would overflow, and the next reading would dump everything."""
    make("test-a", 3)
    with NetworkNamespace.open("test-a") as container:
        process_carriers(None, container)  # otherwise a worker reports them, at any time
    keeping.scrape()
    descriptors = keeping.descriptors()
    for number in range(3):
        host.execute(Batch().add_link(f"i{number}", "ifb"))
        host.delete_links([f"i{number}"])
        assert select.select(descriptors, [], [], 0)[0]
        keeping.process_pending()
        assert not select.select(descriptors, [], [], 0)[0]
    assert received(keeping.scrape()) == {("test-a", "eth0"): bytes_of(3)}
