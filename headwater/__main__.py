"""`python -m headwater`: the command line where its script is not on the path."""

import sys

from headwater.cli import main

sys.exit(main())
