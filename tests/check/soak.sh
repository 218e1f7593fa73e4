#!/usr/bin/env bash
# Makes readings of every kind for SOAK_SECONDS (60) while interfaces come and go, then a million of
# one kind. Reads many containers for SOAK_CONTAINERS_SECONDS (25) while containers come and go, and
# scrapes the exporter for SOAK_EXPORTER_SECONDS (25). Lends devices for ADVERSARY_SECONDS (60) to
# containers whose root manipulates them. Ends FINALS (200) containers at once, in three ways. It
# fails if a counter is wrong, an error is unknown, memory or descriptors grow, a link is lost or
# taken in, or final counters are lost or less exact than the kernel reports. See tests/soak/.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p build
for part in soak containers exporter adversary finals; do
    .venv/bin/python -W error -X faulthandler "tests/soak/$part.py" | tee "build/soak-$part.log"
done
echo "$(tail -n 1 build/soak-soak.log); containers: $(tail -n 1 build/soak-containers.log);" \
    "exporter: $(tail -n 1 build/soak-exporter.log);" \
    "devices: $(tail -n 1 build/soak-adversary.log);" \
    "final counters: $(tail -n 1 build/soak-finals.log)"
