"""cni/: what the plugin accepts and answers, without a change of the host."""

from __future__ import annotations

import json

import pytest
from helpers_cni import VERSIONS, Runtime

from pynetstrat.cni import plugin


@pytest.fixture
def runtime():
    """A runtime whose container does not exist."""
    return Runtime(netns="/run/netns/missing")


def call_raw(text: bytes, **environment: str) -> tuple[int, dict[str, object]]:
    status, answer = plugin.call(environment, text)
    return status, json.loads(answer)


# ---- VERSION, and versions ----


@pytest.mark.parametrize(
    "text", [b"", b"{", b'{"cniVersion": "9.0.0"}', b'{"cniVersion": "0.4.0"}']
)
def test_version_lists_the_supported_versions_whatever_standard_input_is(text):
    status, answer = call_raw(text, CNI_COMMAND="VERSION")
    assert status == 0
    assert answer["supportedVersions"] == VERSIONS
    assert answer["cniVersion"] == ("0.4.0" if b"0.4.0" in text else "1.1.0")


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0", "1.2.0", "1", "", None, 1, ["1.0.0"], {}])
@pytest.mark.parametrize("command", ["ADD", "DEL", "CHECK", "GC", "STATUS"])
def test_an_unsupported_version_has_code_1(runtime, command, version):
    code, text = runtime.fail(command, cniVersion=version)
    assert code == 1
    assert "0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0" in text


@pytest.mark.parametrize(
    "command,since", [("CHECK", "0.4.0"), ("GC", "1.1.0"), ("STATUS", "1.1.0")]
)
def test_a_command_is_refused_by_versions_that_do_not_have_it(runtime, command, since):
    for version in VERSIONS[: VERSIONS.index(since)]:
        code, text = runtime.fail(command, cniVersion=version)
        assert (code, since in text) == (1, True)


@pytest.mark.parametrize("version", VERSIONS)
def test_an_error_has_the_version_that_was_asked_for(runtime, version):
    _, answer = runtime.try_call("ADD", cniVersion=version)
    assert (answer["cniVersion"], answer["code"]) == (version, 3)


# ---- the environment ----


@pytest.mark.parametrize(
    "command,names",
    [
        ("ADD", ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]),
        ("CHECK", ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]),
        ("DEL", ["CNI_CONTAINERID", "CNI_IFNAME"]),
        ("GC", ["CNI_PATH"]),
    ],
)
def test_every_missing_variable_is_named(command, names):
    status, answer = call_raw(b"{}", CNI_COMMAND=command)
    assert (status, answer["code"]) == (1, 4)
    assert answer["msg"] == f"{', '.join(names)} must be set for {command}"
    assert answer["cniVersion"] == "1.1.0"


@pytest.mark.parametrize("command", ["", "add", "ADD ", "UPDATE"])
def test_an_unknown_command_has_code_4(command):
    status, answer = call_raw(b"{}", CNI_COMMAND=command)
    assert (status, answer["code"]) == (1, 4)
    assert "CNI_COMMAND" in answer["msg"]


def test_no_command_has_code_4():
    assert call_raw(b"")[1]["code"] == 4


@pytest.mark.parametrize(
    "name,value",
    [
        *(("CNI_CONTAINERID", value) for value in ("-a", "a b", "a/b", "a:b", "é", "a\n", ".")),
        *(("CNI_IFNAME", value) for value in (".", "..", "a/b", "a b", "a:b", "x" * 16, "eth%d")),
        *(("CNI_NETNS", value) for value in ("blue", "4711")),
        *(("CNI_ARGS", value) for value in ("MAC", "A=1;b", "=;x")),
    ],
)
def test_an_invalid_variable_is_named_and_has_code_4(runtime, name, value):
    code, text = runtime.fail("ADD", {name: value})
    assert (code, name in text) == (4, True)


def test_a_namespace_that_does_not_exist_has_code_3_and_one_that_is_none_has_code_4(
    runtime, tmp_path
):
    assert runtime.fail("ADD")[0] == 3
    file = tmp_path / "file"
    file.touch()
    assert runtime.fail("ADD", {"CNI_NETNS": str(file)})[0] == 4


def test_the_namespace_of_the_host_has_code_4(net, runtime):
    code, text = runtime.fail("ADD", {"CNI_NETNS": "/proc/thread-self/ns/net"})
    assert (code, "CNI_NETNS" in text) == (4, True)


# ---- standard input ----


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"null",
        b'"x"',
        b"1",
        b"[" * 100_000,
        b'{"a": 1} {}',
        b'{"a": NaN}',
        b'{"a": 1e999}',
    ],
)
@pytest.mark.parametrize("command", ["ADD", "DEL", "GC", "STATUS"])
def test_what_is_no_json_object_has_code_6(runtime, command, text):
    environment = {**runtime.environment, "CNI_COMMAND": command}
    status, answer = call_raw(text, **environment)
    assert (status, answer["code"]) == (1, 6)


@pytest.mark.parametrize("name", ["", None, "-a", "a b", "a/b", "a:b", 1, [], "x" * 201])
def test_an_invalid_name_of_the_network_has_code_7(runtime, name):
    code, text = runtime.fail("ADD", name=name)
    assert (code, text.startswith("name ")) == (7, True)


@pytest.mark.parametrize(
    "field,value",
    [
        ("vlan", 5),
        ("vlanTrunk", [{"id": 5}]),
        ("promiscMode", True),
        ("macspoofchk", True),
        ("forceAddress", True),
        ("enabledad", True),
        ("disableContainerInterface", True),
    ],
)
def test_an_unsupported_field_has_code_2_and_is_named_with_its_value(runtime, field, value):
    code, text = runtime.fail("ADD", **{field: value})
    assert code == 2
    assert text.startswith(f"{field} {value!r} ")


def test_unsupported_fields_with_an_empty_value_and_unknown_ones_are_harmless(runtime):
    harmless = {"vlan": 0, "promiscMode": False, "macspoofchk": False, "vlanTrunk": []}
    assert runtime.fail("ADD", **harmless, something={"a": 1}, args={"labels": {}})[0] == 3


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "0:0:0:0:0:0:0:1"])
def test_a_loopback_address_of_the_host_has_code_2(runtime, address):
    ports = [{"hostPort": 80, "containerPort": 80, "protocol": "tcp", "hostIP": address}]
    code, text = runtime.fail("ADD", runtimeConfig={"portMappings": ports})
    assert (code, address in text) == (2, True)


@pytest.mark.parametrize(
    "fields",
    [
        *({"bridge": value} for value in (1, [], {"a": 1}, "../x", "x" * 16, "a\0b", "br%d")),
        *({"mtu": value} for value in ("1500", -1, 1.5, True)),
        *({key: "yes"} for key in ("isGateway", "ipMasq", "hairpinMode", "isolated")),
        *({"ipam": value} for value in ([], "host-local", {"type": 1}, {"type": "../x"})),
        *({"sysctls": value} for value in ([], {"a": None}, {"a": [1]})),
        *({"dns": value} for value in ([], "1.1.1.1")),
        *({"runtimeConfig": value} for value in ([], {"mac": 1}, {"ips": [1]}, {"ips": "x"})),
        *(
            {"runtimeConfig": {"portMappings": value}}
            for value in ({}, [1], [{"hostPort": "80"}], [{"hostPort": -1}], [{"hostIP": "x"}])
        ),
        {"runtimeConfig": {"portMappings": [{"hostIP": "192.0.2.1/24"}]}},
        *(
            {"runtimeConfig": {"bandwidth": value}}
            for value in ([], {"ingressRate": "1"}, {"egressRate": -1})
        ),
        {"args": []},
        {"args": {"cni": {"mac": 1}}},
    ],
    ids=str,
)
def test_a_field_of_the_wrong_type_has_code_7(runtime, fields):
    code, text = runtime.fail("ADD", **fields)
    assert code == 7, text
    assert next(iter(fields)) in text


@pytest.mark.parametrize(
    "previous",
    [[], "x", {"interfaces": {}}, {"ips": [1]}, {"routes": "x"}, {"dns": []}],
    ids=str,
)
def test_a_prevresult_that_is_no_result_has_code_6(runtime, previous):
    code, text = runtime.fail("ADD", prevResult=previous)
    assert (code, "prevResult" in text) == (6, True)


def test_a_fault_of_the_plugin_is_an_answer_too(runtime, monkeypatch, capsys):
    def fail(request):
        raise RuntimeError("unexpected")

    monkeypatch.setitem(plugin._COMMANDS, "ADD", fail)
    code, text = runtime.fail("ADD")
    assert (code, "unexpected" in text) == (103, True)
    assert "Traceback" in capsys.readouterr().err
