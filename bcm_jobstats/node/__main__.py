"""The first that Python runs of the agent, as a module of the package and as the program role-monitor (stack.agent)."""

import sys

if sys.version_info < (3, 9):  # noqa: UP036  # said in words that an older one can read
    sys.exit("role-monitor: /usr/bin/python3 is older than 3.9; install a newer one in the software image")

from bcm_jobstats.node.main import program

if __name__ == "__main__":
    program()
