"""The lowest versions that pyproject.toml declares, as pip constraints: "numpy==1.26.0", …

Those of the light install, of the runtime beside it and of what reads films.
"""

import re
import tomllib
from pathlib import Path

pyproject = Path(__file__).parents[1] / "pyproject.toml"
project = tomllib.loads(pyproject.read_text("utf-8"))["project"]
extras = project["optional-dependencies"]
for line in project["dependencies"] + extras["openvino"] + extras["video"] + extras["parquet"]:
    if found := re.match(r"([\w-]+)>=([\d.]+)", line):
        print(f"{found[1]}=={found[2]}")
