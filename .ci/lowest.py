"""The lowest versions that pyproject.toml declares, as pip constraints: "numpy==1.26.0", …"""

import re
import tomllib
from pathlib import Path

pyproject = Path(__file__).parents[1] / "pyproject.toml"
for line in tomllib.loads(pyproject.read_text("utf-8"))["project"]["dependencies"]:
    if found := re.match(r"([\w-]+)>=([\d.]+)", line):
        print(f"{found[1]}=={found[2]}")
