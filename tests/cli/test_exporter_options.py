"""cli/exporter.py: --labels, --prefix, --keep-ended and --textfile."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import helpers_final
import pytest
import support
from helpers_exporter import RECEIVED, misuse, running
from prometheus_client.parser import text_string_to_metric_families

from pynetstrat import Container, __version__
from pynetstrat.cli import _exporter_labels, _exporter_scraper
from pynetstrat.cli._exporter_labels import LabelsFile
from pynetstrat.cli._exporter_textfile import Textfile

LABELS_ERROR = ("pynetstrat_labels_error",)

# ---- the file of --labels ----


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "labels.json"


def load(path: Path, text: str | bytes) -> LabelsFile:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    labels = LabelsFile(str(path))
    labels.update()
    return labels


CONTAINER = Container("aa", "/proc/1/ns/net", 7, ("aa", "bb"), "owner", "name")


@pytest.mark.parametrize("key", ["aa", "bb", "owner", "name"])
def test_labels_are_found_by_id_owner_or_name(path, key):
    labels = load(path, json.dumps({key: {"pod": "web"}, "other": {"pod": "db"}}))
    assert labels.find(CONTAINER) == {"pod": "web"}
    assert labels.find(Container("x", "/run/netns/x", 8, name="x")) == {}


def test_the_outermost_id_is_preferred_because_a_container_cannot_choose_it(path):
    keys = ["name", "owner", "bb", "aa"]
    labels = load(path, json.dumps({key: {"pod": key} for key in keys}))
    for key in reversed(keys):
        assert labels.find(CONTAINER) == {"pod": key}
        content = json.loads(path.read_text())
        del content[key]
        path.write_text(json.dumps(content))
        labels.update()
    assert labels.find(CONTAINER) == {}


def test_a_container_without_id_owner_or_name_is_found_by_its_label(path):
    labels = load(path, '{"7": {"pod": "seven"}}')
    assert labels.find(Container("7", "/proc/1/ns/net", 7)) == {"pod": "seven"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "must be JSON: Expecting value"),
        ('{"aa": {"pod": "web', "must be JSON: Unterminated string"),
        ('{"aa": {"pod": "web"}} x', "must be JSON: Extra data"),
        (b"\xff\xfe{", "must be JSON: "),
        (
            "[]",
            "must be a JSON object of container ids, owners or names to objects of labels, "
            "not an array",
        ),
        ("null", "labels, not null"),
        ("7", "labels, not a number"),
        ("[" * 100_000, "not nested this deep"),
        ('{"aa": "web"}', 'the labels of "aa" must be an object, not a string'),
        ('{"aa": {"pod": 7}}', 'label "pod" of "aa" must be a string, not a number'),
        ('{"aa": {"pod": null}}', "must be a string, not null"),
        ('{"aa": {"pod": true}}', "must be a string, not a boolean"),
        ('{"aa": {"pod": ["web"]}}', "must be a string, not an array"),
        ('{"aa": {"netns": "7"}}', 'label "netns" of "aa" must have another name'),
        ('{"aa": {"interface": "7"}}', "every series has this label"),
        ('{"aa": {"container": "7"}}', "every series has this label"),
        ('{"aa": {"": "7"}}', 'the name of label "" of "aa" must have letters'),
        ('{"aa": {"a-b": "7"}}', "must have letters, digits and underscores"),
        ('{"aa": {"7a": "7"}}', "begin with neither a digit nor __"),
        ('{"aa": {"__name__": "7"}}', "begin with neither a digit nor __"),
        ('{"aa": {"caf\u00e9": "7"}}', "must have letters"),
        ('{"aa": {"a\\nb": "7"}}', "must have letters"),
    ],
)
def test_an_invalid_file_is_an_error_of_one_line_and_changes_nothing(path, text, reason):
    labels = load(path, '{"aa": {"pod": "web"}}')
    assert labels.error == ""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert not labels.update()
    assert labels.error.startswith(f"--labels {path}: ")
    assert reason in labels.error
    assert "\n" not in labels.error
    assert labels.find(CONTAINER) == {"pod": "web"}
    path.write_text('{"aa": {"pod": "db"}}')
    assert labels.update()
    assert (labels.error, labels.find(CONTAINER)) == ("", {"pod": "db"})


def test_a_missing_file_is_an_error_until_it_appears(path):
    labels = LabelsFile(str(path))
    assert not labels.update()
    assert labels.error == f"--labels {path}: No such file or directory"
    path.write_text('{"aa": {"pod": "web"}}')
    assert labels.update() and labels.error == ""
    path.unlink()
    assert not labels.update() and "No such file" in labels.error
    assert labels.find(CONTAINER) == {"pod": "web"}


def test_a_huge_file_is_an_error(path, monkeypatch):
    monkeypatch.setattr(_exporter_labels, "_MAX_BYTES", 1 << 20)
    labels = load(path, json.dumps({"aa": {"pod": "x" * (1 << 20)}}))
    assert labels.error == f"--labels {path}: must have at most 1 MiB"


@pytest.mark.parametrize("create", [os.mkfifo, os.mkdir])
def test_a_file_that_is_not_regular_is_an_error(path, create):
    create(path)
    labels = LabelsFile(str(path))
    assert not labels.update()
    assert labels.error.startswith(f"--labels {path}: ")


def test_a_file_is_read_again_only_if_it_has_changed(path, monkeypatch):
    labels = load(path, '{"aa": {"pod": "web"}}')
    reads = []
    real = _exporter_labels._read
    monkeypatch.setattr(_exporter_labels, "_read", lambda path: reads.append(path) or real(path))
    os.utime(path, (1000, 1000))
    assert not labels.update() and len(reads) == 1
    assert not labels.update() and len(reads) == 1
    other = path.with_name("other")
    other.write_text('{"aa": {"pod": "new"}}')  # of the same size
    os.utime(other, (1000, 1000))
    other.rename(path)
    assert labels.update() and len(reads) == 2
    assert labels.find(CONTAINER) == {"pod": "new"}


def test_a_change_within_the_resolution_of_the_clock_is_seen(path):
    labels = load(path, '{"aa": {"pod": "web"}}')
    status = path.stat()
    path.write_text('{"aa": {"pod": "new"}}')
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert labels.update()
    assert labels.find(CONTAINER) == {"pod": "new"}


def test_the_text_of_a_label_is_made_printable(path):
    labels = load(path, '{"aa": {"pod": "a\\nb\\\\\\u0007\\ud800\\u00e9"}}')
    assert labels.find(CONTAINER) == {"pod": "a\\nb\\\\\\x07\\ud800\u00e9"}


@pytest.mark.slow
def test_the_labels_of_the_file_are_served_and_a_broken_file_is_a_metric(blue, path):
    def labels() -> dict[str, str]:
        with exporter.get() as response:
            families = text_string_to_metric_families(response.read().decode())
        ((found,),) = [
            [s.labels for s in f.samples if s.name == RECEIVED]
            for f in families
            if f"{f.name}_total" == RECEIVED
        ]
        return found

    with running("--container", "^test-", "--labels", str(path)) as exporter:
        fixed = {"container": "test-blue", "interface": "eth0", "netns": str(blue.id[1])}
        assert labels() == fixed
        assert exporter.scrape()[LABELS_ERROR] == 1
        path.write_text('{"test-blue": {"name": "web", "pod": "a\\"b"}}')
        assert labels() == {**fixed, "name": "web", "pod": 'a"b'}
        assert exporter.scrape()[LABELS_ERROR] == 0
        path.write_text('{"test-blue": {"na')
        assert exporter.scrape()[LABELS_ERROR] == 1
        assert labels() == {**fixed, "name": "web", "pod": 'a"b'}
        status, _, errors = exporter.end()
    missing, *_, broken = errors.splitlines()
    assert (status, missing) == (0, f"pynetstrat: --labels {path}: No such file or directory")
    assert broken.startswith(f"pynetstrat: --labels {path}: must be JSON: ")


# ---- --prefix, --keep-ended, and what the exporter says of itself ----


def test_a_prefix_is_put_before_the_container_metrics(blue):
    with running("--container", "^test-", "--prefix", "host_") as exporter:
        values = exporter.scrape()
    inode = str(blue.id[1])
    assert values[f"host_{RECEIVED}", "test-blue", "eth0", inode] == 600
    assert not any(key[0].startswith("container_") for key in values)
    assert values["pynetstrat_containers",] == 1


@pytest.mark.slow
@pytest.mark.parametrize("text", ["7a", "a-b", "a:", "caf\u00e9", "a b", "a\n"])
def test_an_invalid_prefix_is_wrong_usage(net, text):
    assert "--prefix must have letters, digits and underscores" in misuse(f"--prefix={text}").stderr


@pytest.mark.slow
@pytest.mark.parametrize("text", ["", "-1", "nan", "inf", "x", "86401"])
def test_an_invalid_time_is_wrong_usage(net, text):
    done = misuse(f"--keep-ended={text}")
    assert "--keep-ended must be a number of seconds from 0 to 86400, not " in done.stderr


@pytest.mark.slow
def test_many_containers_that_are_torn_down_at_once_are_kept_with_exact_counters(exporter_host):
    with running("--container", "^torn-") as exporter:
        endings = [helpers_final.Ending(f"torn-{number}", number) for number in range(20)]
        expected = {ending.name: ending.sums for ending in endings}
        assert helpers_final.scrape(exporter.url) == expected
        for number, ending in enumerate(endings):
            ending.receive(number % 7)
            ending.send(1000)
        helpers_final.tear_down_at_once(endings)
        support.wait_until(lambda: exporter.scrape()["pynetstrat_containers_ended",] == 20)
        assert helpers_final.scrape(exporter.url) == expected


def test_the_versions_are_labels_of_a_metric(exporter):
    (key,) = [key for key in exporter.scrape() if key[0] == "pynetstrat_build_info"]
    assert key[2] == __version__


def test_the_exporter_says_that_it_is_healthy_without_a_scrape(exporter):
    with exporter.get("/-/healthy") as response:
        assert response.read() == b"healthy\n"
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


# ---- --textfile ----


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_exporter_scraper, "_TEXTFILE_PERIOD", 0.05)


@pytest.mark.slow
def test_the_metrics_are_written_to_a_file_until_the_end(blue, quick, tmp_path):
    file = tmp_path / "pynetstrat.prom"
    with running("--container", "^test-", "--textfile", str(file)) as exporter:
        support.wait_until(file.exists)
        assert f'{RECEIVED}{{container="test-blue",interface="eth0",netns=' in file.read_text()
        # node_exporter has metrics of these names itself.
        assert "process_" not in file.read_text().replace("pynetstrat_processes_", "")
        assert file.stat().st_mode & 0o777 == 0o644
        support.send_frames("v0", 1, 100)
        support.wait_until(lambda: " 700.0\n" in file.read_text())
        assert exporter.end() == (0, "", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_full_file_system_is_reported_once_and_the_scrapes_go_on(blue, quick, tmp_path, mounted):
    file = mounted(tmp_path, "size=4k") / "pynetstrat.prom"
    file.write_text("before\n")
    with running("--textfile", str(file)) as exporter:
        for _ in range(3):
            assert exporter.scrape()["pynetstrat_scrape_error",] == 0
        status, output, errors = exporter.end()
    assert (status, output) == (0, "")
    assert errors == f"pynetstrat: --textfile {file}: No space left on device\n"


@pytest.fixture
def mounted(run: None) -> Callable[[Path, str], Path]:
    """Mounts a tmpfs in the mount namespace of the tests."""

    def mount(path: Path, options: str) -> Path:
        support.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path])
        return path

    return mount


def test_a_file_that_cannot_be_written_keeps_its_former_content(tmp_path):
    file = Textfile(str(tmp_path / "a.prom"))
    file.write([b"one\n", b"two\n"])
    assert (tmp_path / "a.prom").read_bytes() == b"one\ntwo\n"

    def parts():
        yield b"three\n"
        raise OSError(28, "No space left on device")

    file.write(parts())
    assert file.error == f"--textfile {tmp_path}/a.prom: No space left on device"
    assert [path.name for path in tmp_path.iterdir()] == ["a.prom"]
    assert (tmp_path / "a.prom").read_bytes() == b"one\ntwo\n"
    file.write([b"four\n"])
    assert file.error == "" and (tmp_path / "a.prom").read_bytes() == b"four\n"
    file.remove()
    file.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_does_not_exist_is_an_error_of_the_file(tmp_path):
    file = Textfile(str(tmp_path / "missing" / "a.prom"))
    file.write([b"one\n"])
    assert file.error.endswith("a.prom: No such file or directory")


def test_a_file_that_node_exporter_does_not_read_is_wrong_usage(net):
    assert "--textfile must end in .prom, not " in misuse("--textfile=/tmp/metrics").stderr
