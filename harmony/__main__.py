"""``python -m harmony``."""

import sys

from harmony.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
