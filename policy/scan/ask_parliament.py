"""``python ask_parliament.py FOLDER``: what parliament finds in each document of a folder, one JSON object a line.

Runs alone, with the packages of the environment that has parliament. Its own command line writes a log to a fixed place in /tmp, which a
second user of the machine can't.
"""

import json
import sys
import warnings
from pathlib import Path

# It warns of how it looks for its own data.
warnings.simplefilter("ignore")

import parliament  # type: ignore[import-not-found]  # noqa: E402

for path in sorted(Path(sys.argv[1]).glob("*.json")):
    for found in parliament.analyze_policy_string(path.read_text(encoding="utf-8"), path.name).findings:
        seen = parliament.enhance_finding(found)
        where = {key: value for key, value in seen.location.items() if key != "filepath"}
        print(json.dumps({"file": path.name, "issue": seen.issue, "title": seen.title, "detail": seen.detail, "where": where}))
