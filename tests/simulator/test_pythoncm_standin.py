"""The stand-in of pythoncm on a simulated head node (bcm-facts §7)."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bcm_jobstats.simulator.inprocess import InProcess
from bcm_jobstats.simulator.layout import Layout
from tests.simulator.web import Web

LIBRARY = "cm/local/apps/cmd/pythoncm/lib"
PYTHON = "python{}.{}".format(*sys.version_info)


@pytest.fixture(params=["bcm10", "bcm11"])
def served(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Web]:
    cluster = InProcess(tmp_path, Layout(request.param))
    made = Web(cluster)
    yield made
    made.close()
    cluster.close()


@pytest.fixture
def pythoncm(served: Web, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """The modules of pythoncm, imported from this head node only for this test."""
    monkeypatch.syspath_prepend(str(served.root / LIBRARY / PYTHON / "site-packages"))
    names = ("cluster", "entity", "settings")
    forget()  # another test may have left that of another head
    yield SimpleNamespace(**{name: importlib.import_module(f"pythoncm.{name}") for name in names})
    forget()


def forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pythoncm"]:
        del sys.modules[name]


def test_entities_are_found_by_name_then_type(pythoncm: Any) -> None:
    """bcm-facts §7."""
    cluster = pythoncm.cluster.Cluster()
    node = cluster.get_by_name("dgx-01", "Node")
    assert (node.hostname, node.childType, type(node).__name__) == ("dgx-01", "PhysicalNode", "PhysicalNode")
    assert isinstance(node, pythoncm.entity.Node)
    assert cluster.get_by_name("dgx-01").hostname == "dgx-01"
    assert cluster.get_by_name("Node", "dgx-01") is None and cluster.get_by_name("dgx-01", "Category") is None
    assert len(cluster.get_by_type("Node")) == len(cluster.get_by_type(pythoncm.entity.Node)) == 6
    assert [str(one) for one in cluster.get_by_type("HeadNode")] == ["bcm-head"]
    assert cluster.get_by_type("Nothing") == []


def test_references_are_entities(pythoncm: Any) -> None:
    """bcm-facts §7; the names of §2."""
    cluster = pythoncm.cluster.Cluster()
    node, overlay = cluster.get_by_name("dgx-01"), cluster.get_by_name("slurm-client", "ConfigurationOverlay")
    assert node.category.name == "dgx-h100"
    assert node.category.softwareImageProxy.parentSoftwareImage.name == "dgx-image"
    assert [one.name for one in overlay.categories] == ["dgx-h100"] and overlay.allHeadNodes is False
    assert [(one.name, one.childType) for one in overlay.roles] == [("slurmclient", "SlurmClientRole")]
    assert json.dumps(overlay.to_dict())


def test_a_role_is_appended_and_its_parent_committed(pythoncm: Any, served: Web) -> None:
    """bcm-facts §7: new sub-entities, local copies, `.good`."""
    cluster = pythoncm.cluster.Cluster()
    overlay, role = cluster.get_by_name("slurm-client"), pythoncm.entity.GenericRole()
    role.name, role.services = "generic::jobstats", ["node_exporter"]
    overlay.roles.append(role)
    overlay.nodes.append(cluster.get_by_name("login-01", "Node"))
    assert cluster.get_by_name("slurm-client").nodes == []  # local copies
    result = overlay.commit()
    assert result.good and str(result) == "good"
    assert served.cluster.run("configurationoverlay get slurm-client roles") == "generic::jobstats slurmclient\n"
    assert served.cluster.run("configurationoverlay get slurm-client nodes") == "login-01\n"
    again = cluster.get_by_name("slurm-client")
    assert again.roles[1].services == ["node_exporter"]
    again.roles.pop()
    again.nodes.clear()
    assert again.commit().good
    assert served.cluster.run("configurationoverlay get slurm-client roles") == "slurmclient\n"


def test_services_of_a_category(pythoncm: Any, served: Web) -> None:
    """bcm-facts §7; classes of §3.1 and §3.3."""
    category, service = pythoncm.cluster.Cluster().get_by_name("default", "Category"), pythoncm.entity.OSServiceConfig()
    service.name, service.monitored, service.autostart = "cups", True, True
    category.services.append(service)
    assert category.commit().good
    assert served.cluster.run("category services default; get cups autostart") == "yes\n"


def test_a_node_moves(pythoncm: Any, served: Web) -> None:
    cluster = pythoncm.cluster.Cluster()
    node = cluster.get_by_name("dgx-01")
    node.category = cluster.get_by_name("login", "Category")
    assert node.commit().good and served.cluster.run("device get dgx-01 category") == "login\n"


def test_a_new_overlay_and_its_end(pythoncm: Any) -> None:
    """bcm-facts §7: `remove()` is immediate."""
    cluster, overlay = pythoncm.cluster.Cluster(), pythoncm.entity.ConfigurationOverlay()
    overlay.name = "jobstats"
    assert overlay.commit().good and cluster.get_by_name("jobstats").priority == 500
    overlay.priority = 250
    result = overlay.commit()
    assert not result.good and "priority" in str(result)
    assert cluster.get_by_name("jobstats").remove().good
    assert cluster.get_by_name("jobstats") is None


def test_wrong_sub_entities_are_dropped_here_too(pythoncm: Any) -> None:
    cluster, role = pythoncm.cluster.Cluster(), pythoncm.entity.GenericRole()
    overlay = cluster.get_by_name("slurm-client")
    role.name, role.services = "generic::jobstats", "not a list"
    overlay.roles.append(role)
    assert overlay.commit().good and len(cluster.get_by_name("slurm-client").roles) == 1


def test_names_that_do_not_exist(pythoncm: Any) -> None:
    with pytest.raises(AttributeError):
        pythoncm.entity.NoSuchEntity()
    with pytest.raises(AttributeError):
        pythoncm.entity.GenericRole().servces = []
    role = pythoncm.entity.GenericRole()
    pythoncm.cluster.Cluster()
    assert not role.commit().good


def test_it_works_whatever_the_json_switches_say(pythoncm: Any, served: Web) -> None:
    for name, value in (("overlay_calls", "none"), ("json_references", "name")):
        served.cluster.control(op="switch", name=name, value=value)
    overlay = pythoncm.cluster.Cluster().get_by_name("slurm-client")
    overlay.priority = 510
    assert overlay.commit().good
    assert {"pythoncm": "CMDevice::updateConfigurationOverlay"} in served.cluster.daemon.log


def test_settings(pythoncm: Any, served: Web, tmp_path: Path) -> None:
    """bcm-facts §7."""
    host, port = served.address.split(":")
    settings = pythoncm.settings.Settings(host=host, port=int(port))
    assert settings.check_certificate_files()
    assert pythoncm.cluster.Cluster(settings).get_by_name("dgx-01")
    assert not pythoncm.settings.Settings(cert_file=str(tmp_path / "nothing")).check_certificate_files()


def test_a_profile_that_does_not_allow_it(pythoncm: Any, served: Web) -> None:
    served.with_profile("power")
    host, port = served.address.split(":")
    files = {"cert_file": str(served.root / "power.pem"), "key_file": str(served.root / "power.key")}
    cluster = pythoncm.cluster.Cluster(pythoncm.settings.Settings(host, int(port), **files))
    with pytest.raises(Exception, match=r"profile:power\) does not allow access to CMDevice::getConfigurationOverlays"):
        cluster.get_by_type("ConfigurationOverlay")


def test_another_version_is_refused(pythoncm: Any, served: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pythoncm.cluster, "VERSION", "9.2")
    with pytest.raises(Exception, match=r"pythoncm is 9\.2"):
        pythoncm.cluster.Cluster()


def test_it_follows_the_redirect_of_a_passive_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """bcm-facts §7."""
    cluster = InProcess(tmp_path, Layout("bcm11", head="bcm-head-1", passive="bcm-head-2"))
    web = Web(cluster)
    try:
        monkeypatch.syspath_prepend(str(tmp_path / "heads/bcm-head-2" / LIBRARY / PYTHON / "site-packages"))
        module = importlib.import_module("pythoncm.cluster")
        assert module.Cluster().get_by_name("dgx-01").hostname == "dgx-01"
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "pythoncm"]:
            del sys.modules[name]
        web.close()
        cluster.close()


@pytest.mark.parametrize(("value", "found"), [("own", [PYTHON]), ("3.9", ["python3.9"]), ("none", [])])
def test_the_python_it_is_for_is_a_switch(tmp_path: Path, value: str, found: list[str]) -> None:
    cluster = InProcess(tmp_path, switches={"pythoncm": value})
    Web(cluster).close()
    library = tmp_path / LIBRARY
    assert [one.name for one in library.iterdir()] == found if found else not library.exists()
    cluster.close()
