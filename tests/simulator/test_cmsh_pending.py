"""The pending-change model: nothing is anybody else's business until `commit` (bcm-facts §1.5)."""

from __future__ import annotations

import json
from threading import Thread

import pytest

from bcm_jobstats.simulator.inprocess import InProcess

ADD = "configurationoverlay; add x; set categories login; roles; assign generic::x; set services a b; "


def test_changes_are_seen_by_their_session_only(cluster: InProcess) -> None:
    other = cluster.new_session()
    cluster.run(ADD)
    assert cluster.run("configurationoverlay; get x categories") == "login\n"
    assert cluster.run("configurationoverlay; get x categories", other) == "No such overlay: x\n"
    cluster.run("commit")
    assert cluster.run("configurationoverlay; get x categories", other) == "login\n"


def test_a_commit_is_on_disk_before_it_is_answered(cluster: InProcess) -> None:
    cluster.run(ADD + "commit")
    told = json.loads((cluster.daemon.directory / "cmd" / "state.json").read_text())
    role = told["configurationoverlay"]["x"]["children"]["roles"]["generic::x"]
    assert role == {"kind": "GenericRole", "values": {"name": "generic::x", "services": ["a", "b"]}}


def test_what_was_made_and_removed_leaves_no_trace(cluster: InProcess) -> None:
    before = cluster.daemon.state.to_json()
    cluster.run(ADD + "commit; home")
    cluster.run("configurationoverlay; use slurm-client; set revision r; append nodes login-01; commit; home")
    assert cluster.daemon.state.to_json() != before
    cluster.run("configurationoverlay; remove x; commit; home")
    cluster.run("configurationoverlay; use slurm-client; clear revision; removefrom nodes login-01; commit")
    assert cluster.daemon.state.to_json() == before


def test_setting_a_value_back_is_no_change(cluster: InProcess) -> None:
    cluster.run("configurationoverlay; use slurm-client; set priority 510; set priority 500; set allheadnodes off")
    assert cluster.run("modified") == "No modified objects of type configurationoverlay\n"


def test_refresh_drops_changes(cluster: InProcess) -> None:
    """bcm-facts §1.5."""
    cluster.run("configurationoverlay; use slurm-client; set priority 510; refresh")
    assert cluster.run("get priority; modified") == "500\nNo modified objects of type configurationoverlay\n"


@pytest.mark.parametrize(("switch", "kept"), [("discard", "500\n"), ("keep", "510\n")])
def test_the_end_of_c_decides_by_the_switch(cluster: InProcess, switch: str, kept: str) -> None:
    """bcm-facts §13 #4."""
    cluster.control(op="switch", name="uncommitted", value=switch)
    cluster.cmsh("-n", "-c", "configurationoverlay; set slurm-client priority 510")
    assert cluster.cmsh("-n", "-c", "configurationoverlay; get slurm-client priority").out == kept


def test_two_sessions_write_only_what_they_changed(cluster: InProcess) -> None:
    other = cluster.new_session()
    cluster.run("configurationoverlay; use slurm-client; set priority 510; set revision mine")
    cluster.run("configurationoverlay; use slurm-client; set revision theirs; append nodes login-01; commit", other)
    cluster.run("commit")
    assert cluster.run("get priority; get revision; get nodes") == "510\nmine\nlogin-01\n"


def test_commits_at_the_same_time_all_count(cluster: InProcess) -> None:
    def work(name: str) -> None:
        session = cluster.new_session()
        session.run_line(f"configurationoverlay; add {name}; commit")
        for number in range(20):
            session.run_line(f"set revision {number}; append nodes dgx-0{number % 4 + 1}; commit")

    names = [f"overlay{number}" for number in range(4)]
    threads = [Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in names:
        values = cluster.daemon.state.table("configurationoverlay")[name].values
        assert (values["revision"], len(values["nodes"])) == ("19", 4)


def test_a_change_of_what_another_session_removed_is_refused(cluster: InProcess) -> None:
    other = cluster.new_session()
    cluster.run("configurationoverlay; use slurm-client; set priority 510")
    cluster.run("configurationoverlay; remove slurm-client; commit", other)
    assert "does not exist any more" in cluster.run("commit")


def test_the_same_name_cannot_be_added_twice(cluster: InProcess) -> None:
    other = cluster.new_session()
    cluster.run(ADD)
    cluster.run(ADD + "commit", other)
    assert "already exists" in cluster.run("commit")
    assert cluster.run("configurationoverlay; add slurm-client") == "Overlay already exists: slurm-client\n"


def test_commit_is_about_this_level_and_below(cluster: InProcess) -> None:
    cluster.run("device; set dgx-01 rack a; set dgx-02 rack b; use dgx-01; commit; exit")
    assert "dgx-02" in cluster.run("modified") and "dgx-01" not in cluster.run("modified")
    cluster.run("configurationoverlay; set slurm-client revision r; device; commit")
    assert cluster.run("modified") == "No modified objects of type device\n"
    assert "slurm-client" in cluster.run("configurationoverlay; modified")


def test_counts_are_told_after_removals_only(cluster: InProcess) -> None:
    cluster.run(ADD + "commit; home; configurationoverlay; remove x; set slurm-client revision r")
    assert cluster.run("commit") == (
        "Successfully removed 1 ConfigurationOverlays\nSuccessfully committed 1 ConfigurationOverlays\n"
    )


def test_a_category_in_use_is_not_removed(cluster: InProcess) -> None:
    before = cluster.daemon.state.to_json()
    assert "still used" in cluster.run("category; remove login; commit")
    assert cluster.daemon.state.to_json() == before


def test_references_follow_a_removed_node(cluster: InProcess) -> None:
    cluster.run(
        "configurationoverlay; use slurm-client; set nodes dgx-01 dgx-02; commit; device; remove dgx-01; commit"
    )
    assert cluster.run("configurationoverlay; get slurm-client nodes") == "dgx-02\n"


def test_an_overlay_can_get_another_name(cluster: InProcess) -> None:
    cluster.run("configurationoverlay; use slurm-client; set name other; commit")
    assert cluster.run("get name; path") == "other\nhome;configurationoverlay;use other;\n"
    assert "slurm-client" not in cluster.daemon.state.table("configurationoverlay")


@pytest.mark.parametrize(
    "line",
    [
        "configurationoverlay; use slurm-client; set nodes nosuch",
        "configurationoverlay; use slurm-client; append categories nosuch",
        "configurationoverlay; use slurm-client; set priority high",
        "configurationoverlay; use slurm-client; set allheadnodes perhaps",
        "configurationoverlay; use slurm-client; set nosuch 1",
        "configurationoverlay; use slurm-client; append revision 1",
        "configurationoverlay; use slurm-client; roles; use slurmclient; set type x",
        "configurationoverlay; use slurm-client; roles; unassign slurmserver",
        "configurationoverlay; use slurm-client; roles; assign nosuch",
        "configurationoverlay; remove nosuch",
        "device; set dgx-01 category nosuch",
        "device; add physicalnode",
        "nosuch",
        "fspart; list",
    ],
)
def test_what_is_refused_changes_nothing(cluster: InProcess, line: str) -> None:
    assert cluster.run(line) != ""
    assert cluster.session.failed
    assert cluster.session.drafts.pending() == []


def test_an_extra_value_is_kept_apart(cluster: InProcess) -> None:
    cluster.run("wlm; use slurm; set --extra takeover yes; set -e NoPostAllowed yes; commit")
    assert cluster.daemon.state.table("wlm")["slurm"].extra == {"takeover": "yes", "NoPostAllowed": "yes"}
    assert cluster.run("get takeover") == "yes\n"


def test_a_long_text_comes_from_a_file(cluster: InProcess) -> None:
    (cluster.daemon.directory / "root" / "list").write_text("- /var/log/*\n")
    cluster.run("category; use login; set excludelistgrab /root/list; commit")
    assert cluster.run("get excludelistgrab; show").splitlines()[0] == "- /var/log/*"
    assert "Exclude list grab                <13B>" in cluster.run("show")


def test_nodes_without_a_value_are_cleared(cluster: InProcess) -> None:
    cluster.run("configurationoverlay; use slurm-client; set nodes dgx-01..dgx-03; append nodes login-01")
    assert cluster.run("get nodes") == "dgx-01..dgx-03 login-01\n"
    assert cluster.run("set nodes; get nodes") == "\n"


@pytest.mark.parametrize(("switch", "printed"), [("line", "\n"), ("nothing", "")])
def test_an_empty_property_prints_by_the_switch(cluster: InProcess, switch: str, printed: str) -> None:
    cluster.control(op="switch", name="empty_get", value=switch)
    assert cluster.run("configurationoverlay; get slurm-client revision") == printed


def test_an_image_is_inherited_from_the_category(cluster: InProcess) -> None:
    """bcm-facts §6."""
    assert cluster.run("device; get dgx-01 softwareimage") == "dgx-image (dgx-h100)\n"
    cluster.run("set dgx-01 softwareimage default-image; commit")
    assert cluster.run("get dgx-01 softwareimage") == "default-image\n"


def test_an_image_clone_has_its_own_tree(cluster: InProcess) -> None:
    images = cluster.daemon.directory / "cm" / "images"
    (images / "dgx-image" / "etc" / "mark").write_text("x")
    cluster.run("softwareimage; clone dgx-image new; commit -w")
    assert (images / "new" / "etc" / "mark").read_text() == "x"
    assert cluster.run("get path") == "/cm/images/new\n"
    cluster.run("exit; remove -d new; commit -w")
    assert not (images / "new").exists() and (images / "dgx-image").exists()


def test_wlm_settings(cluster: InProcess) -> None:
    cluster.run("wlm; set epilogslurmctld /x; cgroups; set constrainramspace yes; commit")
    assert cluster.run("wlm; get epilogslurmctld; use slurm; cgroups; get constrainramspace") == "/x\nyes\n"


@pytest.mark.parametrize(("profile", "etc"), [("cluster", "slurm/var/etc/slurm"), ("cluster11", "slurm/etc/slurm")])
def test_profiles_differ(profile: str, etc: str, request: pytest.FixtureRequest) -> None:
    cluster: InProcess = request.getfixturevalue(profile)
    assert etc in cluster.run("wlm; get etc")
    managed = "Managed" in cluster.run("category; services login; add x; show")
    table = cluster.run("home; configurationoverlay; use slurm-client; set priority 250; commit")
    assert (managed, table.startswith("Field")) == ((True, True) if profile == "cluster11" else (False, False))
