"""Runs on a node: what is below a directory does not answer until this ends. A mount that waits for a daemon which
never answers (autofs), as a network file system does whose server is gone."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import sys

CATATONIC = 0x9362  # AUTOFS_IOC_CATATONIC: whoever waits is told that nothing is there
MNT_DETACH = 2
ENDING = {signal.SIGTERM, signal.SIGINT}

place = sys.argv[1]
signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
_, writes = os.pipe()
if os.getpgrp() != os.getpid():
    os.setpgid(0, 0)
libc = ctypes.CDLL(None, use_errno=True)
options = f"fd={writes},pgrp={os.getpgrp()},minproto=5,maxproto=5,indirect"
if libc.mount(b"hanging", place.encode(), b"autofs", 0, options.encode()):
    sys.exit(f"mount {place}: {os.strerror(ctypes.get_errno())}")
root = os.open(place, os.O_RDONLY)
address = os.environ.get("NOTIFY_SOCKET", "")
if address:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(b"READY=1", address.replace("@", "\0", 1))
signal.sigwait(ENDING)
fcntl.ioctl(root, CATATONIC, 0)
libc.umount2(place.encode(), MNT_DETACH)
