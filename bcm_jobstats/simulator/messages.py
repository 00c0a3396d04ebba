"""Every error text of the simulated cmsh, in one place.

None of them is evidence: no public text shows the wording of cmsh's errors (bcm-facts §13 #5). A client that matches
on these texts is wrong; it has to read back what it did. Texts that a manual does show (`Successfully removed 1
Devices`, `No modified objects of type device`, the validation tables) stand where they are printed.
"""

from __future__ import annotations

from zlib import crc32


class CmshError(Exception):
    """A command that cmsh refuses; the text is what it prints."""


def worded(text: str, wording: str) -> str:
    """An error text as it is, or (`other`) in words that have nothing in common with it: see the switch `texts`."""
    if wording == "plain":
        return text
    reason, _, about = text.partition(": ")
    return f"cmsh: request refused, reason {crc32(reason.encode()) % 900 + 100}" + (f" ({about})" if about else "")


def unknown_command(word: str) -> CmshError:
    """No such command in this mode."""
    return CmshError(f"Unknown command: {word}")


def not_simulated(mode: str) -> CmshError:
    """A mode of the real cmsh that the simulator does not have."""
    return CmshError(f"simulator: the mode '{mode}' is not simulated")


def no_such(what: str, name: str) -> CmshError:
    """An object that is not there."""
    return CmshError(f"No such {what}: {name}")


def no_object() -> CmshError:
    """A command that needs an object, used where none is chosen."""
    return CmshError("No object is in use here; choose one with: use <name>")


def no_property(name: str) -> CmshError:
    """A property that the object does not have."""
    return CmshError(f"No such property: {name}")


def read_only(name: str) -> CmshError:
    """A property that cannot be set."""
    return CmshError(f"Property is read-only: {name}")


def bad_value(name: str, value: str) -> CmshError:
    """A value that the property does not take."""
    return CmshError(f"Invalid value for {name}: {value}")


def not_a_list(name: str) -> CmshError:
    """`append` or `removefrom` on a property with one value."""
    return CmshError(f"Property does not hold a list: {name}")


def exists(what: str, name: str) -> CmshError:
    """An object that is there already."""
    return CmshError(f"{what} already exists: {name}")


def assigned_twice(name: str) -> CmshError:
    """A role that the object already has (refused: bcm-facts §1.5)."""
    return CmshError(f"Role is already assigned: {name}")


def not_assigned(name: str) -> CmshError:
    """`unassign` of a role that the object does not have itself."""
    return CmshError(f"Role is not assigned here: {name}")


def unknown_role(name: str) -> CmshError:
    """`assign` of a role that this BCM does not offer."""
    return CmshError(f"No such role to assign: {name}")


def usage(text: str) -> CmshError:
    """A command used wrongly."""
    return CmshError(f"Usage: {text}")


def unbalanced(what: str) -> CmshError:
    """A quote, backquote or parenthesis that does not end."""
    return CmshError(f"Unbalanced {what}")


def wrong_mode(command: str) -> CmshError:
    """A command of another mode."""
    return CmshError(f"Not available in this mode: {command}")


def service_failed(action: str, service: str, node: str) -> CmshError:
    """A service action that did not work."""
    return CmshError(f"Failed to {action} service {service} on: {node}")


def passive_head(name: str) -> CmshError:
    """A change ordered from the CMDaemon of the passive head, with --noredirect (that it is refused: bcm-facts §10)."""
    return CmshError(f"{name} is not the active head node: no changes can be made here")


UNREACHABLE = "Unable to connect to CMDaemon"
"""The daemon does not answer. `client.py` repeats this text: it imports nothing."""

WLM_CLUSTER_UNSET = "Error: The WLM cluster should be set"
"""Literal, bcm-facts §1.5."""

CATEGORY_UNSET = "The category should be set"
"""Literal, bcm-facts §1.5."""

BAD_PRIORITY = "The priority should be -1, or 0 to 1000 except 250 and 750"
"""The rule is bcm-facts §2; the text is invented."""


def dangling(what: str, name: str) -> str:
    """A reference to an object that is not there."""
    return f"The {what} {name} does not exist"


def still_used(name: str, user: str) -> str:
    """A removal of an object that another one refers to."""
    return f"{name} is still used by {user}"


def already_there(name: str) -> str:
    """An object added here that another session committed first."""
    return f"{name} already exists"


def gone(name: str) -> str:
    """An object changed here that another session removed."""
    return f"{name} does not exist any more"


def not_connected() -> CmshError:
    """A command that needs CMDaemon after --noconnect."""
    return CmshError("Not connected to CMDaemon; connect first")


def bad_certificate(what: str, file: str) -> CmshError:
    """A certificate or key given with -i and -k that cmsh does not take."""
    return CmshError(f"{what}: {file}")


def not_allowed(profile: str, call: str) -> CmshError:
    """A call that the certificate's profile does not allow: the literal text of the JSON interface (bcm-facts §8.1)."""
    return CmshError(f"Your certificate (profile:{profile}) does not allow access to {call}")


def no_files(node: str) -> str:
    """What `pexec` prints for a simulated node that has no files and no shell."""
    return f"simulator: {node} is a node on paper, it has no shell"


def no_power(node: str) -> CmshError:
    """A power command for a device whose power is not played."""
    return CmshError(f"No power control for: {node}")


def node_down(node: str) -> str:
    """What `pexec` prints for a node that is down."""
    return f"{node} is down"


def too_long(seconds: float) -> str:
    """What is printed after a shell command that did not end in time."""
    return f"simulator: did not end within {seconds:g} s"
