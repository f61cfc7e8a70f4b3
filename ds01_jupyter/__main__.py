"""`python -m ds01_jupyter` is `ds01`."""

from __future__ import annotations

import sys

from ds01_jupyter.cli import main

sys.exit(main())
