"""Finding and importing pythoncm, which belongs to one version of Python and of BCM (bcm-facts §7)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from bcm_jobstats.bcm.choice import PYTHONCM, Access, choose
from bcm_jobstats.bcm.errors import Unreachable
from bcm_jobstats.bcm.keys import ExposedKey
from bcm_jobstats.bcm.pythoncm import load
from tests.bcm import adapters
from tests.harness import cluster

OURS = f"python{sys.version_info.major}.{sys.version_info.minor}"
FAKE = {
    "__init__": "",
    "cluster": "class Cluster:\n    def __init__(self, settings=None):\n        self.settings = settings\n",
    "settings": "class Settings:\n    def __init__(self, **told):\n        self.told = told\n"
    "    def check_certificate_files(self):\n        return True\n",
    "entity": "WHERE = __file__\n",
}


@pytest.fixture(autouse=True)
def imports() -> Iterator[None]:
    """What is imported and where from is as before when a test ends."""
    path, modules = list(sys.path), dict(sys.modules)
    yield
    sys.path[:] = path
    for name in [name for name in sys.modules if name.startswith("pythoncm")]:
        del sys.modules[name]
    sys.modules.update({name: module for name, module in modules.items() if name.startswith("pythoncm")})


def install(root: Path, python: str = OURS, **changed: str) -> Path:
    where = root / "cm/local/apps/cmd/pythoncm/lib" / python / "site-packages"
    (where / "pythoncm").mkdir(parents=True)
    for name, text in {**FAKE, **changed}.items():
        (where / "pythoncm" / f"{name}.py").write_text(text)
    return where


def access(root: Path, **more: Path) -> Access:
    return Access(root, 5.0, "master:8081", root / "cacert.pem", **more)


def test_it_is_found_without_being_imported(tmp_path: Path) -> None:
    where = install(tmp_path, __init__="raise SystemExit(1)")
    assert load.find(tmp_path) == where


def test_the_one_for_this_python_is_taken(tmp_path: Path) -> None:
    """bcm-facts §7, §11 #3: 3.9 in the manual, 3.12 on a real BCM 11."""
    install(tmp_path, "python3.6")
    where = install(tmp_path)
    install(tmp_path, "python3.99")
    assert load.find(tmp_path) == where


@pytest.mark.parametrize("there", ["", f"{OURS}/site-packages", f"{OURS}/site-packages/pythoncm.egg-info"])
def test_a_head_node_without_it(tmp_path: Path, there: str) -> None:
    (tmp_path / "cm/local/apps/cmd/pythoncm/lib" / there).mkdir(parents=True)
    with pytest.raises(Unreachable, match="is not installed") as raised:
        load.find(tmp_path)
    assert "--bcm cmsh" in raised.value.remedy


@pytest.mark.parametrize("pythons", [("python3.6",), ("python3.6", "python3.99")])
def test_one_for_another_python_names_both_and_the_way_out(tmp_path: Path, pythons: tuple[str, ...]) -> None:
    """bcm-facts §7: BCM's own Python, which has the right version."""
    for python in pythons:
        install(tmp_path, python)
    with pytest.raises(Unreachable) as raised:
        load.find(tmp_path)
    assert raised.value.cause == f"is for {' and '.join(pythons)}, and this is {OURS}"
    assert raised.value.remedy.endswith(f"{tmp_path}/cm/local/apps/python3/bin/python -m bcm_jobstats")


BROKEN = {
    "a module it needs": "import nosuchmodule_of_pythoncm",
    "a version that is enforced": "raise RuntimeError('version 11.0 is not 10.0')",
    "its own syntax": "def (",
    "a name": "from pythoncm.cluster import NoSuchThing",
}


@pytest.mark.parametrize(
    ("switch", "cause"), [("none", "is not installed"), ("3.99", "is for python3.99"), ("own", "")]
)
def test_a_simulated_head_node(tmp_path: Path, switch: str, cause: str) -> None:
    """bcm-facts §13 #10."""
    switch = {"3.99": "3.12" if OURS != "python3.12" else "3.9"}.get(switch, switch)
    with cluster(tmp_path / "head", switches={"pythoncm": switch}) as simulator:
        if cause:
            with pytest.raises(Unreachable, match=cause.replace("3.99", switch)):
                choose(PYTHONCM, adapters.access(simulator))
        else:
            assert choose(PYTHONCM, adapters.access(simulator)).bcm.read().nodes


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_what_it_says_at_its_import_is_told(tmp_path: Path, text: str) -> None:
    install(tmp_path, entity=text)
    with pytest.raises(Unreachable, match="cannot be imported") as raised:
        load.connect(access(tmp_path))
    assert any(word in raised.value.cause for word in ("nosuchmodule", "11.0 is not", "syntax", "NoSuchThing"))
    assert "python3/bin/python" in raised.value.remedy


def test_it_hides_nothing_and_nothing_hides_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other/pythoncm").mkdir(parents=True)
    (tmp_path / "other/pythoncm/__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path / "other"))
    where = install(tmp_path)
    (where / "bcm_jobstats.py").write_text("raise SystemExit('hidden')")
    session = load.connect(access(tmp_path))()
    assert str(where / "pythoncm/entity.py") == session.entity.WHERE
    assert sys.path.index(str(where)) == len(sys.path) - 1
    assert sys.path.count(str(where)) == 1


def test_each_head_node_has_its_own(tmp_path: Path) -> None:
    first, second = install(tmp_path / "a"), install(tmp_path / "b")
    one, other = load.connect(access(tmp_path / "a")), load.connect(access(tmp_path / "b"))
    assert str(first / "pythoncm/entity.py") == one().entity.WHERE
    assert str(second / "pythoncm/entity.py") == other().entity.WHERE
    assert str(first / "pythoncm/entity.py") == one().entity.WHERE


def test_it_is_imported_once(tmp_path: Path) -> None:
    install(tmp_path)
    load.connect(access(tmp_path))
    loaded: ModuleType = sys.modules["pythoncm.entity"]
    load.connect(access(tmp_path))
    assert sys.modules["pythoncm.entity"] is loaded


def test_on_a_head_node_it_finds_everything_itself(tmp_path: Path) -> None:
    """bcm-facts §7: `Cluster()`."""
    install(tmp_path)
    assert load.connect(access(tmp_path))().cluster.settings is None


def certificate(root: Path, mode: int = 0o600) -> dict[str, Path]:
    key = root / "apply.key"
    key.touch(mode)
    key.chmod(mode)
    return {"certificate": root / "apply.pem", "key": key}


def test_a_certificate_of_our_own_is_handed_over(tmp_path: Path) -> None:
    """bcm-facts §7: Settings and its arguments."""
    install(tmp_path)
    session = load.connect(access(tmp_path, **certificate(tmp_path)))()
    assert session.cluster.settings.told == {
        "host": "master",
        "port": 8081,
        "cert_file": str(tmp_path / "apply.pem"),
        "key_file": str(tmp_path / "apply.key"),
        "ca_file": str(tmp_path / "cacert.pem"),
    }


def test_a_certificate_that_it_does_not_take(tmp_path: Path) -> None:
    install(tmp_path, settings=FAKE["settings"].replace("True", "False"))
    with pytest.raises(Unreachable, match=r"does not take .*apply\.pem"):
        load.connect(access(tmp_path, **certificate(tmp_path)))()


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    install(tmp_path)
    with pytest.raises(ExposedKey, match="chmod 600"):
        load.connect(access(tmp_path, **certificate(tmp_path, 0o644)))


def test_a_cmdaemon_that_does_not_answer(tmp_path: Path) -> None:
    install(tmp_path, cluster="class Cluster:\n    def __init__(self):\n        raise OSError('connection refused')\n")
    connect = load.connect(access(tmp_path))
    with pytest.raises(Unreachable, match="connection refused"):
        connect()
