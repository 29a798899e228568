"""`python -m zendeskd`."""

import sys

from zendeskd.cli import main

if __name__ == "__main__":
    sys.exit(main())
