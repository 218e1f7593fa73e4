"""strategy.py, plugins.py: the registry, loopback, and the plug-ins of other packages."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import support

import pynetstrat
from pynetstrat import (
    KernelError,
    Loopback,
    Network,
    NetworkStrategy,
    RtnetlinkSocket,
    StrategyLoadError,
    UnknownStrategyError,
    get_network_interface_stats,
    get_strategy,
    register_strategy,
    strategies,
)
from pynetstrat.errors import quote
from pynetstrat.wiring import plugins as plugins_module


class Recorder(NetworkStrategy):
    """A strategy that does nothing."""


@pytest.fixture(autouse=True)
def _registry(monkeypatch):
    """Each test has a registry of its own."""
    registry = dict(pynetstrat.strategy.registry)
    for module in ("pynetstrat.strategy", "pynetstrat.wiring.plugins"):
        monkeypatch.setattr(sys.modules[module], "registry", registry)


# ---- the registry ----


def test_loopback_is_built_in():
    assert isinstance(get_strategy("loopback"), Loopback)
    assert "loopback" in strategies()
    assert strategies()["loopback"] is get_strategy("loopback")


@pytest.mark.parametrize(
    ("type", "text"),
    [
        ("bridge", 'unknown strategy type "bridge"'),
        ("", 'unknown strategy type ""'),
        ('a"\n\0', 'unknown strategy type "a\\"\\n\\x00"'),
        ("Loopback", 'unknown strategy type "Loopback"'),
        ("\udcff", 'unknown strategy type "\\udcff"'),
    ],
)
def test_an_unknown_type_is_an_error_that_names_the_known_ones(type, text):
    register_strategy('my "own"', Recorder())
    with pytest.raises(UnknownStrategyError) as caught:
        get_strategy(type)
    known = ", ".join(map(quote, strategies()))
    assert str(caught.value) == f"{text}; known: {known}"
    assert (caught.value.type, caught.value.known) == (type, tuple(strategies()))
    assert known.startswith('"loopback", ')
    assert r'"my \"own\""' in known


@pytest.mark.parametrize("type", [None, 1, b"loopback"])
def test_a_type_is_a_str(type):
    with pytest.raises(TypeError, match="type must be a str"):
        get_strategy(type)
    with pytest.raises(TypeError, match="type must be a str"):
        register_strategy(type, Recorder())


def test_a_registered_strategy_is_found_by_its_type():
    view, mine = strategies(), Recorder()
    register_strategy("mine", mine)
    assert get_strategy("mine") is mine
    assert view["mine"] is mine  # the view follows
    with pytest.raises(ValueError, match="'mine' is already registered"):
        register_strategy("mine", mine)  # even the same strategy
    register_strategy("mine", mine, replace=True)


def test_a_taken_type_is_refused_unless_it_is_to_be_replaced():
    before = get_strategy("loopback")
    with pytest.raises(ValueError, match="'loopback' is already registered; pass replace=True"):
        register_strategy("loopback", Recorder())
    assert get_strategy("loopback") is before
    other = Recorder()
    register_strategy("loopback", other, replace=True)
    assert get_strategy("loopback") is other


def test_an_empty_type_and_an_object_that_is_no_strategy_are_refused():
    with pytest.raises(ValueError, match="must not be empty"):
        register_strategy("", Recorder())
    for thing in (Recorder, object(), None):
        with pytest.raises(TypeError, match="must be a NetworkStrategy instance, not"):
            register_strategy("mine", thing)
    assert "mine" not in strategies()


def test_the_view_is_a_mapping():
    register_strategy("mine", Recorder())
    view = strategies()
    assert {"loopback", "mine"} <= view.keys()
    assert len(view) == len(list(view)) == len(set(view))
    assert view["mine"] is get_strategy("mine")
    assert repr(view).startswith("<strategies: 'loopback', ")
    assert view.get("nothing") is None
    with pytest.raises(KeyError):
        view["nothing"]


def test_the_view_is_read_only():
    with pytest.raises(TypeError):
        strategies()["mine"] = Recorder()
    with pytest.raises(TypeError):
        del strategies()["loopback"]


def test_one_of_many_threads_that_register_a_type_succeeds():
    candidates = [Recorder() for _ in range(8)]
    winners, refused = [], []
    together = threading.Barrier(len(candidates))

    def register(strategy):
        together.wait()
        try:
            register_strategy("raced", strategy)
            winners.append(strategy)
        except ValueError:
            refused.append(strategy)

    support.run_threads(*(lambda s=s: register(s) for s in candidates))
    assert len(winners) == 1
    assert len(refused) == 7
    assert get_strategy("raced") is winners[0]


# ---- the four operations ----


def test_the_base_class_does_nothing():
    base, network = NetworkStrategy(), Network("x")
    assert base.create(network, 1) is None
    assert base.create(network) is None
    assert base.create(network, netns="/nowhere") is None
    assert base.destroy(network) is None
    assert base.destroy(network, netns="/nowhere") is None
    assert base.check(network) == base.check(network, netns="/nowhere") == []
    assert base.initialize() is None
    assert base.initialize(network, netns="/nowhere") is None
    assert base.attach(network) is None
    assert base.detach(network) is None


def test_loopback_brings_lo_up(net):
    loopback, network = get_strategy("loopback"), Network("loopback")
    with RtnetlinkSocket() as rtnetlink:
        loopback.create(network, os.getpid())
        loopback.attach(network)
        loopback.detach(network)
        assert not rtnetlink.link_is_up("lo")  # these three do nothing
        loopback.initialize(network)
        assert rtnetlink.link_is_up("lo")
        loopback.initialize()  # the second call succeeds
    # The kernel has added the address: traffic flows and is counted.
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        for _ in range(10):
            sender.sendto(bytes(100), receiver.getsockname())
            assert len(receiver.recv(200)) == 100
    stats = get_network_interface_stats("lo")
    assert stats.rx_packets == stats.tx_packets == 10
    assert stats.rx_bytes == stats.tx_bytes == 10 * (20 + 8 + 100)


def test_loopback_brings_lo_up_in_another_namespace(net, new_namespace):
    other, here = new_namespace(), support.identity()
    get_strategy("loopback").initialize(netns=other)
    assert support.identity() == here
    with RtnetlinkSocket() as own, RtnetlinkSocket(other) as others:
        assert not own.link_is_up("lo")
        assert others.link_is_up("lo")


def test_loopback_reports_why_it_cannot_bring_lo_up(net, tmp_path):
    with pytest.raises(KernelError) as caught:
        get_strategy("loopback").initialize(netns=tmp_path)
    assert caught.value.operation == "setns"


# ---- plug-ins ----

_MODULE = """\
from pynetstrat import NetworkStrategy


class Bridge(NetworkStrategy):
    pass


ready = Bridge()
missing_argument = lambda needed: Bridge()
not_one = lambda: 42


def failing():
    raise OSError("out of bridges")
"""


def provide(where: Path, name: str, points: str) -> None:
    """Adds what importlib.metadata sees of an installed package that provides strategies."""
    metadata = where / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[pynetstrat.strategies]\n{points}")


@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    """A directory with a package that provides strategies, some of which can't be used."""
    where = tmp_path_factory.mktemp("site")
    (where / "netstrat_bridge.py").write_text(_MODULE)
    provide(
        where,
        "netstrat_bridge",
        """\
bridge = netstrat_bridge:Bridge
ready = netstrat_bridge:ready
no-module = netstrat_nowhere:Bridge
no-attribute = netstrat_bridge:Nothing
failing = netstrat_bridge:failing
missing-argument = netstrat_bridge:missing_argument
not-one = netstrat_bridge:not_one
contested = netstrat_bridge:Bridge
agreed = netstrat_bridge:Bridge
loopback = netstrat_bridge:failing
""",
    )
    provide(
        where,
        "netstrat_rival",
        "contested = netstrat_bridge:ready\nagreed = netstrat_bridge:Bridge\n",
    )
    return where


@pytest.fixture
def installed(plugins, monkeypatch):
    monkeypatch.syspath_prepend(str(plugins))
    yield
    sys.modules.pop("netstrat_bridge", None)


def test_a_plugin_is_found_in_a_fresh_interpreter(plugins):
    code = """
import sys
from pynetstrat import get_strategy, strategies
listed = list(strategies())
assert listed[0] == "loopback" and "bridge" in listed and "failing" in strategies()
assert len(listed) == len(set(listed)) == len(strategies())
assert "netstrat_bridge" not in sys.modules  # listed without being loaded
view = strategies()
strategy = get_strategy("bridge")
assert type(strategy).__module__ == "netstrat_bridge", strategy
assert get_strategy("bridge") is strategy is view["bridge"]
assert sorted(strategies()) == sorted(listed)
print("found")
"""
    done = support.python(code, env=os.environ | {"PYTHONPATH": str(plugins)})
    assert (done.stdout, done.stderr) == ("found\n", "")


@pytest.mark.slow
def test_the_example_plugin_brings_every_link_up(tmp_path):
    source = support.ROOT / "examples" / "strategy_plugin"
    assert source.is_dir(), "examples/strategy_plugin is the plug-in that the README shows"
    # The build writes into the folder of its source, so it gets a copy.
    subprocess.run(["cp", "-r", str(source), str(tmp_path / "source")], check=True)
    # As pip does, without the time that pip takes. Python imports from a wheel as it is.
    build = f"from setuptools.build_meta import build_wheel; build_wheel({str(tmp_path)!r})"
    done = support.run([sys.executable, "-c", build], cwd=tmp_path / "source")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    code = """
from importlib.metadata import entry_points
from pynetstrat import NetworkStrategy, get_strategy
(point,) = entry_points(group="pynetstrat.strategies")
assert isinstance(get_strategy(point.name), NetworkStrategy)
print("found")
"""
    done = support.python(code, env=os.environ | {"PYTHONPATH": str(wheel)})
    assert (done.stdout, done.stderr) == ("found\n", "")


def test_a_registered_type_is_found_without_a_scan():
    code = """
import sys
from pynetstrat import get_strategy
get_strategy("loopback")
print("importlib.metadata" in sys.modules)
"""
    assert support.python(code).stdout == "False\n"


def test_a_plugin_is_a_class_an_instance_or_a_factory(installed):
    assert type(get_strategy("bridge")).__name__ == "Bridge"
    assert get_strategy("ready") is sys.modules["netstrat_bridge"].ready
    assert get_strategy("ready") is strategies()["ready"]


def test_plugins_are_listed_without_being_loaded(installed):
    listed = strategies()
    assert {"bridge", "failing", "no-module"} < set(listed)
    assert "netstrat_bridge" not in sys.modules
    assert plugins_module.sources()["bridge"] == "netstrat_bridge:Bridge"
    assert plugins_module.sources()["loopback"] == "pynetstrat.strategy:Loopback"
    assert "netstrat_bridge" not in sys.modules
    assert listed["ready"] is get_strategy("ready")  # the lookup loads it
    with pytest.raises(StrategyLoadError):
        listed["failing"]
    with pytest.raises(UnknownStrategyError) as caught:
        get_strategy("nowhere")
    assert {"bridge", "failing", "loopback"} < set(caught.value.known)


def test_a_registered_strategy_comes_before_a_plugin(installed):
    assert isinstance(get_strategy("loopback"), Loopback)


def test_two_providers_of_the_same_object_agree(installed):
    assert type(get_strategy("agreed")).__name__ == "Bridge"


@pytest.mark.parametrize(
    ("type", "says", "cause"),
    [
        ("no-module", "netstrat_nowhere:Bridge failed: ModuleNotFoundError", ImportError),
        ("no-attribute", "netstrat_bridge:Nothing failed: AttributeError", AttributeError),
        ("failing", "netstrat_bridge:failing failed: OSError('out of bridges')", OSError),
        ("missing-argument", "netstrat_bridge:missing_argument failed: TypeError", TypeError),
        (
            "not-one",
            "netstrat_bridge:not_one must return a NetworkStrategy, not 42",
            type(None),
        ),
        (
            "contested",
            "several packages provide it: netstrat_bridge:Bridge, netstrat_bridge:ready",
            type(None),
        ),
    ],
)
def test_a_plugin_that_cannot_be_used_is_an_error(installed, type, says, cause):
    for _ in range(2):  # the same each time
        with pytest.raises(StrategyLoadError) as caught:
            get_strategy(type)
        assert str(caught.value).startswith(f'strategy type "{type}" can\'t be loaded: {says}')
        assert caught.value.type == type
        assert isinstance(caught.value.__cause__, cause)
    assert type not in pynetstrat.strategy.registry
