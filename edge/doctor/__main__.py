"""The checks by themselves, as the desk sends them to a board: ROOT DESK_SECONDS; one JSON object on stdout."""

import json
import os
import sys

from edge.doctor.report import examine

if __name__ == "__main__":
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # as edge/__main__.py does
    found = examine(sys.argv[1], os.environ, float(sys.argv[2]))
    print(json.dumps({"lines": found.lines, "fields": found.fields}))
