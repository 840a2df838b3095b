"""`python -m spikejoule.cli`."""

import sys

from spikejoule.cli import main

sys.exit(main())
