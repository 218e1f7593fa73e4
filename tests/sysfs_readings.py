"""The ways to read counters from sysfs, for the tests of sysfs.py."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import support

from pynetstrat import SysfsReader, get_network_interface_stats, read_sysfs_network_stats


def one_shot(name="eth0", **options):
    return get_network_interface_stats(name, **options)


def held(name="eth0", **options):
    with SysfsReader(name, **options) as reader:
        return reader.read()


def single(name="eth0", **options):
    """The first counter only."""
    options.pop("perspective", None)
    return read_sysfs_network_stats(name, "rx_bytes", **options)


EVERY_WAY = pytest.mark.parametrize("read", [one_shot, held, single])
ALL_EIGHT = pytest.mark.parametrize("read", [one_shot, held])


def add_eth0(links, number):
    """eth0, with the counters of `pattern(number)`."""
    name, _ = support.add_patterned(links, number)
    links.rename(socket.if_nametoindex(name), "eth0")


def wait_until_gone(path):
    """Waits until a kernel worker has deleted the links of a namespace that has ended."""
    support.wait_until(lambda: not Path(path).exists())
