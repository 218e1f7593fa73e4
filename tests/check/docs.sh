#!/usr/bin/env bash
# The API reference builds without a warning, and shows the public names and no others. A run of
# `pynetstrat top` is drawn.
set -euo pipefail
cd "$(dirname "$0")/../.."

out=build/check/docs
rm -rf "$out"
.venv/bin/python docs/build_reference.py "$out"
.venv/bin/python - "$out" <<'PYTHON'
import re
import sys
from pathlib import Path

import pynetstrat

page = Path(sys.argv[1], "pynetstrat.html").read_text()
shown = set(re.findall(r'<section id="(\w+)">', page))
assert shown == set(pynetstrat.__all__), shown ^ set(pynetstrat.__all__)
assert "until it is first read" not in page, "a dataclass has no signature"
Path(sys.argv[1], "figures").write_text(f"the reference has {len(shown)} public names")
PYTHON

.venv/bin/python docs/draw_top.py "$out/top.svg"
grep -q 'ci-job-4711' "$out/top.svg"
echo "$(cat "$out/figures"); $out/top.svg shows a run of top"
