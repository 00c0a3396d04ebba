"""How cmsh is started, where it gets its commands, how it ends (bcm-facts §1.1, §1.2, §1.3)."""

from __future__ import annotations

from pathlib import Path

import pytest

from bcm_jobstats.simulator.inprocess import InProcess

STATUS = "dgx-01 .............. [   UP   ]\n"


@pytest.mark.parametrize(
    "options",
    [
        ("--color=no", "--disable-events", "--norc", "-c"),
        ("--color", "no", "-n", "--hide-events", "-c"),
        ("-n", "-r", "-Q", "-m", "-t", "-c"),
        ("--noredirect", "--noquitconfirmation", "--disablemultiline", "--spool", "/x", "localhost:8081", "-c"),
        ("-n", "master", "-c"),
        ("-n", "bcm-head:8081", "-c"),
    ],
)
def test_options_in_long_and_short_forms(cluster: InProcess, options: tuple[str, ...]) -> None:
    """bcm-facts §1.1."""
    answer = cluster.cmsh(*options, "device status dgx-01")
    assert (answer.out, answer.err, answer.status) == (STATUS, "", 0)


@pytest.mark.parametrize("host", ["nosuch", "localhost:1", "nosuch:8081"])
def test_an_unknown_host_does_not_answer(cluster: InProcess, host: str) -> None:
    answer = cluster.cmsh("-n", host, "-c", "device status dgx-01")
    assert (answer.out, answer.err) == ("", "Unable to connect to CMDaemon\n")


def test_without_a_connection_nothing_is_known(cluster: InProcess) -> None:
    assert "Not connected" in cluster.cmsh("-n", "-u", "-c", "device status dgx-01").out
    assert cluster.cmsh("-n", "--noconnect", "-c", "connect; device status dgx-01").out == STATUS
    assert "Not connected" in cluster.cmsh("-n", "-c", "disconnect; device list").out


def test_the_control_flag_marks_the_end_of_an_answer(cluster: InProcess) -> None:
    assert cluster.cmsh("-n", "-z", "-c", "device status dgx-01").out == STATUS + "\x03"
    assert cluster.cmsh("-n", "--controlflag", text="device status dgx-01\n").out.endswith(STATUS + "\x03")


def test_an_unknown_option_is_refused(cluster: InProcess) -> None:
    assert "Usage" in cluster.cmsh("--json", "-c", "device list").err
    assert "cmsh [options] -f <filename>" in cluster.cmsh("-h").out


def test_a_file_is_not_echoed_and_standard_input_is(cluster: InProcess) -> None:
    (cluster.daemon.directory / "x").write_text("device\nstatus dgx-01\n")
    assert cluster.cmsh("-f", "x").out == STATUS
    assert cluster.cmsh(text="device\nstatus dgx-01\n").out == "device\nstatus dgx-01\n" + STATUS
    assert cluster.cmsh("-x", "-c", "device; status dgx-01").out == "device\nstatus dgx-01\n" + STATUS


def test_rc_files_are_read_unless_told_otherwise(cluster: InProcess) -> None:
    directory = cluster.daemon.directory
    (directory / "root" / ".cmshrc").write_text("device status dgx-01\n")
    (directory / "root" / ".cm").mkdir()
    (directory / "root" / ".cm" / ".cmshrc").write_text("device status dgx-02\n")
    assert cluster.cmsh("-c", "device get dgx-01 category").out == STATUS + "dgx-h100\n"
    assert cluster.cmsh("-n", "-c", "device get dgx-01 category").out == "dgx-h100\n"


@pytest.mark.parametrize(("switch", "status"), [("zero", 0), ("honest", 1)])
@pytest.mark.parametrize(
    "command", ["device use nosuch", "nosuch", "category; roles login; assign slurmclient; commit"]
)
def test_the_exit_status_is_a_switch(cluster: InProcess, switch: str, status: int, command: str) -> None:
    cluster.control(op="switch", name="exit_status", value=switch)
    assert cluster.cmsh("-n", "-c", command).status == status
    assert cluster.cmsh("-n", "-c", "device list").status == 0


def test_an_error_ends_the_run_only_with_q(cluster: InProcess) -> None:
    """bcm-facts §1.1: "Exit immediately after error"."""
    cluster.control(op="switch", name="exit_status", value="honest")
    command = "device use nosuch; device status dgx-01"
    plain, strict = cluster.cmsh("-n", "-c", command), cluster.cmsh("-n", "-q", "-c", command)
    assert (plain.out.endswith(STATUS), plain.status) == (True, 0)
    assert (STATUS in strict.out, strict.status) == (False, 1)


def test_errors_go_where_the_switch_says(cluster: InProcess) -> None:
    assert cluster.cmsh("-n", "-c", "nosuch").out == "Unknown command: nosuch\n"
    cluster.control(op="switch", name="errors_to", value="stderr")
    answer = cluster.cmsh("-n", "-c", "nosuch")
    assert (answer.out, answer.err) == ("", "Unknown command: nosuch\n")


def test_a_terminal_gets_prompts_with_marks(cluster: InProcess) -> None:
    typed = (
        *("device", "use dgx-01", "..", "/", 'configurationoverlay; use "slurm-client"', "roles; use slurmclient"),
        *("set features a", "commit", "quit"),
    )
    prompts = [line for line in cluster.cmsh("-n", typed=typed).out.splitlines() if line]
    assert prompts == [
        "[bcm-head]% device",
        "[bcm-head->device]% use dgx-01",
        "[bcm-head->device[dgx-01]]% ..",
        "[bcm-head->device]% /",
        '[bcm-head]% configurationoverlay; use "slurm-client"',
        "[bcm-head->configurationoverlay[slurm-client]]% roles; use slurmclient",
        "[bcm-head->configurationoverlay[slurm-client]->roles[slurmclient]]% set features a",
        "[bcm-head->configurationoverlay*[slurm-client*]->roles*[slurmclient*]]% commit",
        "[bcm-head->configurationoverlay[slurm-client]->roles[slurmclient]]% quit",
    ]


@pytest.mark.parametrize(
    ("line", "stays"),
    [
        ("device status dgx-01", "home;"),
        ("device use dgx-01", 'home;device;use "dgx-01";'),
        ("device services dgx-01", 'home;device;use "dgx-01";services;'),
        ("configurationoverlay add x", "home;configurationoverlay;use x;"),
        ("device use nosuch", "home;"),
        ("device", "home;device;"),
        ("category roles login; assign storage", "home;category;use login;roles;use storage;"),
        ("device foreach * (use dgx-01; roles)", "home;"),
        ("device; use dgx-01; home; goto -", 'home;device;use "dgx-01";'),
        ("wlm", "home;wlm;use slurm;"),
    ],
)
def test_one_stays_where_a_command_leads(cluster: InProcess, line: str, stays: str) -> None:
    cluster.run(line)
    assert cluster.run("path") == stays + "\n"


def test_what_a_shell_gets_really_runs(cluster: InProcess) -> None:
    """bcm-facts §1.2."""
    assert cluster.run("!echo hi; device get dgx-01 category") == "hi\ndgx-h100\n"
    cluster.run("configurationoverlay; use slurm-client; set revision `echo x`y")
    assert cluster.run("get revision") == "xy\n"
    cluster.run('set revision "a`touch made`b"; commit')
    assert (cluster.daemon.directory / "made").exists()
    cluster.run("set revision 'a`touch unmade`b'")
    assert not (cluster.daemon.directory / "unmade").exists()
    assert cluster.run("get revision") == "a`touch unmade`b\n"


def test_pipes_and_redirections(cluster: InProcess) -> None:
    """bcm-facts §1.2."""
    lines = cluster.run("device list | grep dgx-02").splitlines()
    assert len(lines) == 3 and lines[0].startswith("Type") and "dgx-02" in lines[2]
    assert cluster.run("device list | wc -l").strip() == "8"
    assert cluster.run("device get dgx-01 category > out") == ""
    assert (cluster.daemon.directory / "out").read_text() == "dgx-h100\n"


@pytest.mark.parametrize(("switch", "name"), [("cut", "a-name-of-twenty-..."), ("full", "a-name-of-twenty-four-ch")])
def test_cells_are_cut_in_json_by_the_switch(cluster: InProcess, switch: str, name: str) -> None:
    """bcm-facts §1.4 does not tell."""
    cluster.control(op="switch", name="json_cells", value=switch)
    cluster.run("configurationoverlay; add a-name-of-twenty-four-ch; commit; exit")
    assert f'"name (key)": "{name}"' in cluster.run("list -f name -d {}")
    assert "a-name-of-twenty-..." in cluster.run("list")


def test_lists_with_formats_types_and_keys(cluster: InProcess) -> None:
    lines = cluster.run('device; list -f hostname:[8-12],ip:4 -t headnode -d "|"').splitlines()
    assert lines == ["hostname (ke|ip  ", "------------|----", "bcm-head    |1..."]
    lines = cluster.run('list -f hostname:[8-12],category:8 -t PhysicalNode -d "|" --sort category').splitlines()
    assert lines[:3] == ["hostname (ke|category", "------------|--------", "dgx-01      |dgx-h100"]
    assert cluster.run("list -f hostname -d {4} -t HeadNode") == (
        '[\n    {\n        "hostname (key)": "bcm-head"\n    }\n]\n'
    )
    assert cluster.run("list -f nosuch") == "No such property: nosuch\n"


def test_roles_with_a_format(cluster: InProcess) -> None:
    cluster.run("configurationoverlay; use slurm-client; roles; assign generic::jobstats; set services a b; commit; ..")
    assert cluster.run("list -f name:20,type,services -d {}") == (
        '[\n  {\n    "name (key)": "generic::jobstats",\n    "type": "GenericRole",\n    "services": "a,b"\n  },\n'
        '  {\n    "name (key)": "slurmclient",\n    "type": "SlurmClientRole",\n    "services": ""\n  }\n]\n'
    )
    assert '"name (key)": "[overlay:slurm-client:500] slurmclient"' in cluster.run(
        "device; use dgx-01; roles; list -p -f name:64 -d {}"
    )


def test_the_format_of_a_mode_is_set_and_reset(cluster: InProcess) -> None:
    before = cluster.run("category; list")
    assert cluster.run("format name:10; list").splitlines()[:2] == ["Name (key)", "---------"]
    assert ": Software image\n" in cluster.run("format")
    assert cluster.run("format -r; list") == before


def test_who_uses_an_object(cluster: InProcess) -> None:
    lines = cluster.run("category; usedby login").splitlines()
    assert lines[0] == "Category used by the following:"
    assert [line.split() for line in lines[3:]] == [
        ["Device", "login-01", "category"],
        ["Overlay", "slurm-submit", "categories"],
    ]
    assert cluster.run("wlm; usedby slurm").count("wlmCluster") == 5
    assert cluster.run("category; usedby nosuch") == "No such category: nosuch\n"


@pytest.mark.parametrize("line", ["device list > no/such/file", "device; foreach -n ^/no/such/file (show)"])
def test_a_file_that_is_not_there_is_an_error(cluster: InProcess, line: str) -> None:
    assert "No such file" in cluster.run(line)
    assert cluster.session.failed


def test_loops_select_as_told(cluster: InProcess) -> None:
    def names(selection: str) -> list[str]:
        return cluster.run(f"device; foreach {selection} (get hostname)").split()

    assert names("-c login") == ["login-01"]
    assert names("-n dgx-01..dgx-02") == ["dgx-01", "dgx-02"]
    assert names("-t PhysicalNode -c login -i") == ["login-01"]
    assert names("-c login -n dgx-01") == ["dgx-01", "login-01"]
    assert len(names("*")) == 6
    assert names("-l slurmclient -i -n dgx-03") == ["dgx-03"]
    assert cluster.run("device; use dgx-01; foreach nosuch (show); get hostname") == "No such device: nosuch\ndgx-01\n"
    cluster.run("device")
    cluster.run("foreach -n dgx-01..dgx-02 (set rack r1); commit")
    assert cluster.run("get dgx-02 rack") == "r1\n"


def test_events_come_unless_disabled(cluster: InProcess) -> None:
    command = "category; services login; add x; set autostart yes; commit"
    assert cluster.cmsh("-n", "--hide-events", "-c", command).out == ""
    cluster.settled()
    answer = cluster.cmsh("-n", "-c", "device; services login-01; stop x; status")
    assert "[notice] login-01: Service x was stopped" in answer.out
    assert (
        "[notice]" not in cluster.cmsh("-n", "--disable-events", "-c", "device; services login-01; start x; status").out
    )


def test_command_files_end_and_tell_of_errors(cluster: InProcess) -> None:
    directory = cluster.daemon.directory / "root/.cm/cmsh"
    directory.mkdir(parents=True)
    (directory / "again.cmsh").write_text("again\n")
    (directory / "wrong.cmsh").write_text("device use nosuch\ndevice status ${2-dgx-02}\n")
    assert "without an end" in cluster.run("again")
    assert cluster.run("wrong").endswith("dgx-02 .............. [   UP   ]\n")
    assert cluster.session.failed
    assert cluster.run("wrong x dgx-01").endswith(STATUS)
    cluster.run("run nosuch")
    assert cluster.session.failed


def test_a_file_stops_at_an_error_with_q(cluster: InProcess) -> None:
    (cluster.daemon.directory / "x").write_text("device use nosuch\ndevice status dgx-01\n")
    assert STATUS in cluster.run("run x")
    assert STATUS not in cluster.run("run -q x")
    assert cluster.run("device status dgx-01") == STATUS


def test_aliases(cluster: InProcess) -> None:
    cluster.run('alias st "device status $1"')
    assert cluster.run("st dgx-01") == STATUS
    assert cluster.run("alias") == "st: device status $1\n"
    assert "Unknown command" in cluster.run("unalias st; st dgx-01")


def test_loops_over_unknown_names(cluster: InProcess) -> None:
    told = cluster.run("device; foreach dgx-01 nosuch dgx-02 (get hostname)")
    assert told == "No such device: nosuch\ndgx-01\ndgx-02\n"
    assert cluster.session.failed
    assert cluster.run("foreach -q dgx-01 nosuch (get hostname)") == "No such device: nosuch\n"
    assert cluster.run("foreach -g nosuch (get hostname)") == "No such node group: nosuch\n"
    assert cluster.run("foreach -r r9 (get hostname)") == ""


def test_a_range_is_left_again(cluster: InProcess) -> None:
    cluster.run("device; range -n dgx-01..dgx-02; set rack r1")
    assert cluster.run("get rack") == "r1\nr1\n"
    assert cluster.run("commit; exit; path; get dgx-02 rack; get dgx-03 rack") == "home;device;\nr1\n\n"


def test_two_nodes_swap_their_places(cluster: InProcess) -> None:
    cluster.run("device; set dgx-01 rack a; set login-01 rack b; swap dgx-01 login-01; commit")
    assert cluster.run("get dgx-01 rack; get login-01 rack; get dgx-01 category") == "b\na\nlogin\n"
    assert cluster.run("swap dgx-01 nosuch") == "No such device: nosuch\n"


def test_files_that_are_written_are_the_heads(cluster: InProcess, tmp_path: Path) -> None:
    root = cluster.daemon.directory
    cluster.run(f"device get dgx-01 category > /tmp/out; device get dgx-01 category > {root}/tmp/other")
    assert (root / "tmp/out").read_text() == (root / "tmp/other").read_text() == "dgx-h100\n"
    mine = tmp_path.parent / f"{tmp_path.name}-mine"
    mine.write_text("text")
    assert cluster.run(f"device get dgx-01 category > {mine}") != ""
    assert mine.read_text() == "text"
    assert cluster.run(f"category; use login; set notes {mine}; get notes") == "text\n"
    mine.unlink()
