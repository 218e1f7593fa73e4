#!/usr/bin/env bash
# A test with a real Prometheus: Debian's scrapes `pynetstrat exporter`, which has the capabilities
# that docs/exporter.md lists. The queries of that document and of docs/grafana.json, and the rules of
# docs/alerts.yml, are evaluated; promtool tests the rules, and systemd-analyze the unit. All of it runs in new network, mount and
# pid namespaces. See tests/check/prometheus.py.
set -euo pipefail
cd "$(dirname "$0")/../.."

fail() {
    echo "prometheus: $1"
    exit 1
}
need() {
    command -v "$1" >/dev/null || fail "no $1: apt-get install $2"
}
need prometheus prometheus
need promtool prometheus
need setpriv util-linux
need unshare util-linux
need systemd-analyze systemd
need jq jq
[ "$(id -u)" -eq 0 ] || fail "containers of several users need root here"

out=$PWD/build/prometheus
rm -rf "$out"
mkdir -p "$out"
export PYTHONPATH=$PWD/tests
# A new /run, because named namespaces are in /run/netns. The end of the first process ends all.
# shellcheck disable=SC2016  # the inner shell expands it
exec unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private \
    sh -c 'mount -t tmpfs tmpfs /run && exec "$@"' \
    sh .venv/bin/python -W error tests/check/prometheus.py "$out"
