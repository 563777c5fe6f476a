"""AdaptBench's command: trains, scores and ranks domain adaptation methods. See ``--help``."""

import sys

from adaptbench.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
