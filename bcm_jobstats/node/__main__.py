"""The first that Python runs of the agent, as a module of the package and as the program role-monitor (stack.agent).

All that comes before `program` an older Python reads too.
"""

import signal
import sys

TOO_OLD = 78
"""Exit status where Python cannot run the agent: systemd does not start it again for it (RestartPreventExitStatus=)."""

if sys.version_info < (3, 9):  # noqa: UP036  # said in words that an older one can read
    sys.stderr.write("role-monitor: /usr/bin/python3 is older than 3.9; install a newer one in the software image\n")
    sys.exit(TOO_OLD)

if __name__ == "__main__":
    # Told to stop from here on, it first takes its target files away: node.signals lets it come.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP})

    from bcm_jobstats.node.main import program

    program()
