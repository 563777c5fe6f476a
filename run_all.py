"""AdaptBench's command: trains, scores and ranks domain adaptation methods. See ``--help``."""

import signal
import sys

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback by Ctrl-C before the command listens itself
    from adaptbench.cli import main

    sys.exit(main(sys.argv[1:]))
