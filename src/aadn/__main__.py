"""`python -m aadn`."""

import sys

from aadn.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
