"""Runs a command and prints a line of JSON: its exit code, seconds, and the kibibytes it held.

    python launcher.py COMMAND…

What a process held counts from before it was replaced by the command, so it must be started by a
small one: this.
"""

import json
import os
import subprocess
import sys
import time

began = time.perf_counter()
with subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL) as process:
    held = None
    if hasattr(os, "wait4"):
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        held = used.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    code = process.wait()
print(json.dumps([code, time.perf_counter() - began, held]))
