"""The lowest versions that pyproject.toml declares, as pip constraints: "numpy==1.26.0" and so on.

usage: python .ci/lowest.py [EXTRA ...]
"""

import re
import sys
import tomllib
from pathlib import Path

pyproject = Path(__file__).parents[1] / "pyproject.toml"
project = tomllib.loads(pyproject.read_text("utf-8"))["project"]
extras = project["optional-dependencies"]
declared = [*project["dependencies"], *(line for name in sys.argv[1:] for line in extras[name])]
for line in declared:
    if found := re.match(r"([\w-]+)(?:\[\w+\])?>=([\d.]+)", line):
        print(f"{found[1]}=={found[2]}")
