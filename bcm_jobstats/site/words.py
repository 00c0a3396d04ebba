"""The words of the site file: what a host, an overlay, a role, a port or a path may look like.

Whatever becomes part of a path, an argument of cmsh or a label is held to a narrow pattern here, once for all.
"""

from __future__ import annotations

from bcm_jobstats.site.kinds import DurationKind, NodeRanges, Switch, Text, Whole
from bcm_jobstats.site.selecttypes import SelectTypes

HOST = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
"""One label of a host name (RFC 1123); it becomes a file name and a Prometheus label."""

NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
"""A BCM object's name; it becomes an argument of cmsh, whose grammar takes spaces, ; and quotes for itself."""

SERVICE = r"[a-z][a-z0-9_-]{0,47}"
"""A role or service of ours; it becomes a file name and, with `-target` behind it, a systemd unit."""

NAME_HINT = "letters, digits, '_', '-' and '.', at most 64, beginning with a letter or digit"
SERVICE_HINT = "lower-case letters, digits, '_' and '-', at most 48, beginning with a letter"

CLUSTER = Text(
    "the name of a Slurm cluster", r"[a-z0-9][a-z0-9_-]{0,39}", "lower case: Slurm folds ClusterName, labels do not"
)
BCM_ROLE = Text("the name of a BCM role", r"[A-Za-z][A-Za-z0-9_-]{0,47}(::[A-Za-z0-9_-]{1,48})?", "such as slurmclient")
OVERLAY = Text("the name of a configuration overlay", NAME, NAME_HINT)
CATEGORY = Text("the name of a category", NAME, NAME_HINT)
IMAGE = Text("the name of a software image", NAME, NAME_HINT)
ROLE = Text("the name of a role", SERVICE, SERVICE_HINT)
EXPORTER = Text(
    "the name of an exporter",
    r"(?!.*-target$)" + SERVICE,
    f"{SERVICE_HINT}; not ending in -target, as services of roles do",
)
USER = Text("a user name", r"[a-z_][a-z0-9_-]{0,31}", "lower-case letters, digits, '_' and '-', at most 32")
PORT = Whole("a port from 1 to 65535", 1, 65535)
ABSOLUTE = Text(
    "an absolute path",
    r"(?!.*/\.{1,2}(/|$))(/[A-Za-z0-9_@+.,=-]+)+",
    "such as /usr/local/bin/x: beginning with '/', without spaces, '..' or a '/' at the end",
)
LOCAL = Text(
    "an absolute path",
    r"(?!.*/\.{1,2}(/|$))(/[A-Za-z0-9_@+.,=~%-]+)+",
    "such as /root/x.tar.gz: beginning with '/', without spaces, '..' or a '/' at the end",
)
"""A file of the head node; names of packages have '~' and '%' in them."""
RECIPE = Text("the name of a recipe", SERVICE, SERVICE_HINT)
MEMORY = Text("an amount of memory such as 256M", r"[1-9][0-9]{0,8}[KMGT]", "a number and K, M, G or T")
CPU = Text("a share of CPU time such as 50%", r"[1-9][0-9]{0,4}%", "a number and %; 100% is one core")
ARGUMENT = Text("an argument on one line")
TEST_JOB = Text(
    "a command with {node} in it", r"[^\x00-\x1f\x7f]*\{node\}[^\x00-\x1f\x7f]*", "{node} stands for the node to try"
)
URL = Text(
    "an http or https address",
    r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?(/[A-Za-z0-9_./~%-]*)?",
    "such as http://localhost:9090",
)
ADDRESS = Text("a host and a port", r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}", "such as localhost:8081")
HOST_NAME = Text(
    "the name of a host", rf"(?=.{{1,253}}$){HOST}(\.{HOST})*", "such as master: letters, digits, '-' and '.'"
)
SELECT_TYPE_PARAMETERS = SelectTypes()
SWITCH = Switch()
DURATION = DurationKind()
NODES = NodeRanges()
