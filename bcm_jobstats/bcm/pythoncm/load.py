"""Finding NVIDIA's pythoncm on a head node, and a connection through it (bcm-facts §7)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcm_jobstats.bcm.errors import Unreachable
from bcm_jobstats.bcm.keys import check_private

if TYPE_CHECKING:
    from bcm_jobstats.bcm.choice import Access

LIBRARIES = "cm/local/apps/cmd/pythoncm/lib"
PYTHON = "cm/local/apps/python3/bin/python"
PACKAGE = "pythoncm"


@dataclass(frozen=True)
class Session:
    """One connection: `cluster` is a pythoncm Cluster, `entity` the module that makes new entities."""

    cluster: Any
    entity: Any


def find(root: Path) -> Path:
    """The directory to import pythoncm from; nothing is imported. Raises Unreachable: absent, or for another Python."""
    lib = root / LIBRARIES
    found = sorted(where for where in lib.glob("python3.*/site-packages") if (where / PACKAGE).is_dir())
    if not found:
        raise Unreachable(PACKAGE, f"is not installed (looked below {lib})", "Use --bcm cmsh, or install it.")
    ours = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for where in found:
        if where.parent.name == ours:
            return where
    theirs = " and ".join(where.parent.name for where in found)
    raise Unreachable(PACKAGE, f"is for {theirs}, and this is {ours}", _with_bcms_python(root))


def load(where: Path, root: Path) -> Callable[[str], Any]:
    """pythoncm from that directory: what gives its submodules. Raises Unreachable with the words of the import."""
    there = sys.modules.get(PACKAGE)
    if there is not None and not str(getattr(there, "__file__", "")).startswith(f"{where}/"):
        # Another head node's: only with several --root in one process, as in tests.
        for name in [name for name in sys.modules if name == PACKAGE or name.startswith(f"{PACKAGE}.")]:
            del sys.modules[name]
    # First while it is imported, so that no other pythoncm is taken; last then, so that it hides nothing of ours.
    sys.path.insert(0, str(where))
    importlib.invalidate_caches()
    try:
        modules = {name: importlib.import_module(f"{PACKAGE}.{name}") for name in ("cluster", "settings", "entity")}
    except Exception as error:
        cause = f"cannot be imported from {where}: {type(error).__name__}: {error}"
        raise Unreachable(PACKAGE, cause, _with_bcms_python(root)) from error
    finally:
        sys.path.remove(str(where))
        if str(where) not in sys.path:
            sys.path.append(str(where))
    return modules.__getitem__


def connect(access: Access) -> Callable[[], Session]:
    """Import pythoncm; what is returned makes one connection at each call. Raises Unreachable or ExposedKey.

    On a head node `Cluster()` finds everything itself; with a certificate of our own, `Settings` (bcm-facts §7).
    """
    modules = load(find(access.root), access.root)

    def session() -> Session:
        """One connection."""
        try:
            if access.certificate is None or access.key is None:
                return Session(modules("cluster").Cluster(), modules("entity"))
            return Session(modules("cluster").Cluster(_settings(modules, access)), modules("entity"))
        except Unreachable:
            raise
        except Exception as error:
            cause = f"cannot connect to CMDaemon: {error or type(error).__name__}"
            raise Unreachable(PACKAGE, cause, "Check CMDaemon (systemctl status cmd), or use --bcm cmsh.") from error

    if access.key is not None:
        check_private(access.key)
    return session


def _settings(modules: Callable[[str], Any], access: Access) -> Any:
    host, _, port = access.address.rpartition(":")
    settings = modules("settings").Settings(
        host=host, port=int(port), cert_file=str(access.certificate), key_file=str(access.key), ca_file=str(access.ca)
    )
    if settings.check_certificate_files() is False:
        cause = f"does not take {access.certificate}, {access.key} and {access.ca}"
        raise Unreachable(PACKAGE, cause, "Check `bcm:` in the site file.")
    return settings


def _with_bcms_python(root: Path) -> str:
    return f"Run it with BCM's own Python: {root / PYTHON} -m bcm_jobstats"
