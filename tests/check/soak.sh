#!/usr/bin/env bash
# Readings of every kind for SOAK_SECONDS (60) while interfaces come and go, then a million of one
# kind; those of many containers for SOAK_CONTAINERS_SECONDS (25) while containers do; scrapes of the
# exporter for SOAK_EXPORTER_SECONDS (25) meanwhile; and devices lent to containers for
# ADVERSARY_SECONDS (60) whose root does what it likes: no wrong counters, no unknown error, memory
# and descriptors flat, no link lost or taken in. FINALS (200) containers end at once, in three ways:
# the final counters are exact, or as much as the kernel reports, and none is lost. See the programs
# in tests/soak/.
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
