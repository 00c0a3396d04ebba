"""What is not confirmed about BCM, in one place: each doubt has a name, a default and a fallback (design §2.3).

How each is answered on a real head is in `questions.py`; `bcm-jobstats probe` asks them all.
"""

from __future__ import annotations

from dataclasses import dataclass

from bcm_jobstats.bcm.entities import CATEGORY, OVERLAY, Cluster, Place
from bcm_jobstats.bcm.port import PROBE_ROLE, Bcm


@dataclass(frozen=True)
class Capability:
    """One unconfirmed behaviour of BCM and how the product copes.

    `fact` is where the doubt is written down; `default` the answer that is assumed; `fallback` what happens when the
    answer is another one.
    """

    name: str
    fact: str
    question: str
    default: str
    fallback: str


NONE_NEEDED = "none needed: both are read"
READ_BACK = "every write is read back: a BCM that differs is refused with a clear error, and nothing more is changed"
ASSIGN_GENERIC_ROLE = Capability(
    "assign-generic-role",
    "bcm-facts §13 #1",
    "How does cmsh assign a new generic role?",
    "assign generic::NAME",
    "the forms that `help assign` suggests, then pythoncm, then Base View by hand; with enable.mode auto: services",
)
CONFIGURATION_TYPES = Capability(
    "configuration-types",
    "bcm-facts §13 #2",
    "Which types of configuration does a generic role take?",
    "static",
    "none needed: roles carry services only, files travel in the image (design §2.2)",
)
EXIT_STATUS = Capability(
    "exit-status", "bcm-facts §13 #3", "Does cmsh's exit status tell of an error?", "zero", "not relied on: read back"
)
ERRORS_TO = Capability("errors-to", "bcm-facts §13 #3", "Where do cmsh's errors go?", "stdout", NONE_NEEDED)
UNCOMMITTED = Capability(
    "uncommitted",
    "bcm-facts §13 #4",
    "What becomes of changes when cmsh ends before `commit`?",
    "discard",
    "what is tried out is dropped with `refresh` first; every write is read back",
)
ERROR_TEXTS = Capability(
    "error-texts", "bcm-facts §13 #5", "What do cmsh's errors say?", "unknown", "not relied on: shown, never matched"
)
SHOW_LABELS = Capability(
    "show-labels", "bcm-facts §13 #6", "How does `show` look?", "unknown", "not relied on: `show` is never read"
)
OVERLAY_CALLS = Capability(
    "overlay-calls",
    "bcm-facts §13 #7; AM11 Table J has the overlay tokens under CMDevice",
    "Which JSON service has the calls for overlays?",
    "cmdevice",
    "both candidates are tried; without either, --bcm rest says so and cmsh does the work",
)
JSON_REFERENCES = Capability(
    "json-references", "bcm-facts §13 #7", "How does JSON refer to nodes and categories?", "uuid", NONE_NEEDED
)
JSON_GENERIC_NAME = Capability(
    "json-generic-name", "bcm-facts §13 #7", "Does JSON name a generic role with `generic::`?", "prefixed", NONE_NEEDED
)
REST_V2 = Capability("rest-v2", "bcm-facts §13 #8", "Is there /rest/v2?", "unknown", "not used")
REST_ROLES = Capability(
    "rest-roles",
    "bcm-facts §13 #9",
    "Does /rest/v1/device list roles that come from overlays and categories?",
    "effective",
    "role-monitor needs it; generic-role mode does not",
)
REST_ETAG = Capability(
    "rest-etag",
    "bcm-facts §8.2: not said",
    "Does /rest/v1/device mark its answers with an ETag, and answer 304 when that is sent back?",
    "absent",
    "role-monitor: the whole list each time, which all nodes then share",
)
PYTHONCM = Capability(
    "pythoncm",
    "bcm-facts §13 #10",
    "Can this Python import pythoncm?",
    "unknown",
    "cmsh does everything; imageupdate and service states always go through cmsh",
)
SERVICES_FOLLOW = Capability(
    "services-follow",
    "bcm-facts §13 #11",
    "When do services of a generic role start on running nodes?",
    "commit",
    "`status` names the services that did not start; `imageupdate -w` of the category starts them",
)
PROLOG_FAILURE = Capability(
    "prolog-failure",
    "bcm-facts §13 #12",
    "Does a failing script make BCM's prolog fail?",
    "unknown",
    "assumed so: hooks of ours exit 0 always",
)
HAINFO = Capability(
    "hainfo", "bcm-facts §13 #13", "Is there `main; hainfo`?", "absent", "not used: CMDaemon's state file and cmha are"
)
CUSTOMIZATIONS = Capability(
    "customizations", "bcm-facts §13 #14", "What do overlay customizations take?", "unknown", "not used"
)
ROLE_SERVICES = Capability(
    "role-services",
    "bcm-facts §13 #15",
    "Do services of a role come with monitored and autostart on?",
    "on",
    "`status` shows them DOWN; set autostart in `device services`, or use enable.mode services",
)
EQUAL_PRIORITY = Capability(
    "equal-priority",
    "bcm-facts §13 #16",
    "Which of two overlays of one priority gives a node its role?",
    "unknown",
    "ours carry the same role, so either will do; a different role of that name is noted in the plan",
)
MISSING_UNIT = Capability(
    "missing-unit",
    "bcm-facts §13 #17",
    "What does CMDaemon do when a role's unit is missing on a node?",
    "unknown",
    "files go to the nodes before the role does; a program that the image lacks stops the plan",
)
FREE_REVISION = Capability(
    "free-revision",
    'bcm-facts §1.2 has `set revision "…"`; that CMDaemon leaves it alone is an assumption',
    "Can `revision` carry our text?",
    "yes",
    READ_BACK,
)
LIST_FIELDS = Capability(
    "list-fields",
    "bcm-facts §1.7: names from `show`; no manual lists `Valid fields`",
    "Does `list -f` know the fields that are asked for?",
    "yes",
    "a missing column is a clear error that names it",
)
JSON_CELLS = Capability(
    "json-cells",
    "bcm-facts §1.4",
    "Does `list -d {}` cut cells at the column's width?",
    "cut",
    "columns are asked wide",
)
EMPTY_GET = Capability(
    "empty-get", "bcm-facts §1.5", "What does `get` of an empty property print?", "line", NONE_NEEDED
)
GET_NODES = Capability("get-nodes", "bcm-facts §1.2", "How are lists of nodes printed?", "ranges", NONE_NEEDED)
SUBMODES_IN_FOREACH = Capability(
    "submodes-in-foreach",
    "bcm-facts §1.6, [U]",
    "Does `foreach -l ROLE (get hostname; roles; list)` enter submodes, and see inherited roles?",
    "yes",
    "an answer of another form is a clear error",
)
CLEAR_EMPTIES_LISTS = Capability(
    "clear-empties-lists", "bcm-facts §1.5", "Does `clear nodes` leave an empty list?", "yes", READ_BACK
)
RELOAD_BEFORE_RESTART = Capability(
    "reload-before-restart",
    "not in bcm-facts",
    "Does CMDaemon have systemd read a changed unit before it restarts the service?",
    "yes",
    "the node takes the new unit at its next boot, or with `systemctl daemon-reload` there",
)
ROLE_SERVICES_ARE_LISTED = Capability(
    "role-services-are-listed",
    "bcm-facts §3.3",
    "Does a node's `services; list` show the services that its roles bring?",
    "yes",
    "none needed: a listed service that a role of ours brings is not taken for the node's own",
)
UPDATE_TELLS_ITS_END = Capability(
    "update-tells-its-end",
    "bcm-facts §6",
    "Does `imageupdate -w --wait` end with a line that says completed, and failed otherwise?",
    "yes",
    "the step fails with cmsh's last words, and the same command goes on there",
)
PEXEC = Capability(
    "pexec",
    "AM11 §14.1.2",
    "Does `pexec` hand a quoted command with | and > to the shell as it is?",
    "yes",
    "the other head goes without cmsh commands, and every plan says so",
)
TLS_NAMES = Capability(
    "tls-names",
    "bcm-facts §8: not said",
    "Does CMDaemon's certificate carry the name it is asked by?",
    "yes",
    "--bcm rest refuses the connection; cmsh does the work",
)
RESTART_BY_NAME = Capability(
    "restart-by-name",
    "bcm-facts §1.1 has `services NODE; use NAME; restart`; inside foreach a failed `use` would be no place to go on",
    "Does `services; restart NAME` restart that one service?",
    "yes",
    "the service runs with its new files from the node's next boot on, or when it is restarted by hand",
)
PRODUCER_FILTERS = Capability(
    "producer-filters",
    "AM11 App. L has `nodes` of a node filter only",
    "Have filters of overlays and categories the members `overlays` and `categories`?",
    "yes",
    READ_BACK,
)
SHELL_IN_COMMANDS = Capability(
    "shell-in-commands",
    "bcm-facts §1.2",
    "Does `!` in a command file hand quotes, `>` and `||` to the shell as they are?",
    "yes",
    "jobstats-enable and -disable say a line too much or too little; what they change is cmsh's own",
)
CLUSTER_NAME = Capability(
    "cluster-name",
    "bcm-facts §5.2: the name is part of slurm.conf's path",
    "Is the name of a Slurm cluster in BCM its ClusterName?",
    "yes",
    "`cluster` in the site file; init only proposes it",
)
WLM_SETTINGS = Capability(
    "wlm-settings",
    "bcm-facts §5.2, §5.3: names from public scripts and the manual's list of parameters; JSON's are nowhere",
    "Does BCM tell etc, version, selecttypeparameters, prologflags and two settings of cgroups of a wlm cluster?",
    "yes",
    "what is not told is left out: a plan whose site file names it says so, and doctor calls it unknown",
)
HEAD_STATE = Capability(
    "head-state",
    "bcm-facts §10",
    "Does /var/spool/cmd/state hold this head's state as a word?",
    "yes",
    "`cmha status` is asked when the cluster has two heads",
)
CLONE_PATH = Capability(
    "clone-path",
    "bcm-facts §6: the transcript of a clone copies to /cm/images/NAME",
    "Does a cloned image get a directory of its own?",
    "yes",
    "its path is read back: one that is its source's is refused, and nothing is written there",
)
INHERITED_IMAGE = Capability(
    "inherited-image",
    "bcm-facts §1.5 has one such value with its source in parentheses, of another mode",
    "How does a list of devices show a software image that comes from the category?",
    "apart",
    "a node whose own image was cleared may show its category's, if cmsh had nothing to say against it",
)
IMAGEUPDATE_NEW_IMAGE = Capability(
    "imageupdate-new-image",
    'bcm-facts §6: "takes effect at reboot (or imageupdate for a synced image)"',
    "Does imageupdate sync a node with an image that was set for it a moment ago?",
    "yes",
    "the nodes' files are compared with the image's manifest afterwards: `image rollout --reboot` has them boot anew",
)
IMAGEUPDATE_CLEARS_RESTART = Capability(
    "imageupdate-clears-restart",
    "bcm-facts §1.7: raised when a node's image changes; what takes it away but a boot is not said",
    "Is a node's restart-required gone after an imageupdate with its new image?",
    "yes",
    "the rollout stops after the canary: `--reboot` has nodes boot, `--no-reboot` goes on without",
)
GRAB_WAIT = Capability(
    "grab-wait",
    "bcm-facts §6: commands return before the work ends; `--wait` is known of imageupdate only",
    "Does provisioningstatus name a node from the moment its grabimage returned until it has ended?",
    "yes",
    "the image is compared with the node afterwards: what is missing there stops `image grab`",
)
SYNCLOG = Capability(
    "synclog",
    "bcm-facts §6: only its name is shown",
    "Does `device; synclog NODE` print what a node's last dry run would change?",
    "yes",
    "an error with cmsh's words; a log that tells of no file is refused: without it nobody knows what a grab took",
)
EXCLUDELIST_GET = Capability(
    "excludelist-get",
    "bcm-facts §6: only the command is shown",
    "Does `excludelist get NAME /` print a node's exclude list as it stands, and nothing else?",
    "yes",
    "an error with cmsh's words; the lists of the category itself are read with `get`",
)
EXCLUDE_COMMENTS = Capability(
    "exclude-comments",
    "bcm-facts §6: rsync's filter syntax; the lists that BCM 11 comes with begin with such lines (source TF)",
    "May an exclude list have comments, lines that begin with #?",
    "yes",
    READ_BACK,
)
CHROOT_COMMANDS = Capability(
    "chroot-commands",
    "bcm-facts §6 has `cm-chroot-sw-img IMAGE` only; a public script gives it commands on its standard input",
    "Does cm-chroot-sw-img run the commands that are on its standard input?",
    "yes",
    "the image is entered by chroot in a mount namespace of our own",
)
ALL = tuple(value for value in list(globals().values()) if isinstance(value, Capability))


def can_assign_generic_role(bcm: Bcm, cluster: Cluster) -> bool:
    """Whether a new generic role can be assigned here: tried in a session that never commits.

    The default stands where there is nothing to try it on.
    """
    where = somewhere(cluster)
    return bcm.can_assign(where, PROBE_ROLE) if where else True


def somewhere(cluster: Cluster) -> Place | None:
    """A place whose name cmsh takes."""
    places = [Place(OVERLAY, name) for name in cluster.overlays] + [Place(CATEGORY, n) for n in cluster.categories]
    return next((where for where in places if where not in cluster.unseen), None)
