"""`python -m unsup_asr` is `unsup-asr`."""

import sys

from unsup_asr.cli import main

if __name__ == "__main__":
    sys.exit(main())
