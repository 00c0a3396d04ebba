"""The reader of unit files, against what systemd.unit(5), systemd.service(5) and systemd.exec(5) say."""

from __future__ import annotations

from pathlib import Path

import pytest

from bcm_jobstats.simulator.units import Unit, UnitNotFoundError, load_unit, read_environment_file, read_settings
from bcm_jobstats.simulator.unitwords import UnitError, expand, split_commands, split_words

ETC, LIB = "etc/systemd/system", "usr/lib/systemd/system"


def put(root: Path, relative: str, text: str) -> None:
    path = root / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def service(root: Path, body: str, name: str = "x") -> Unit:
    put(root, f"{ETC}/{name}.service", f"[Service]\n{body}\n")
    return load_unit(root, name, "node001.cluster.local")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[A]\nk = v\n", [("A", "k", "v")]),
        ("[A]\nk=one \\\n  two\n", [("A", "k", "one  two")]),
        ("[A]\nk=one \\\n# said aside\n; and this\n two\nl=3\n", [("A", "k", "one  two"), ("A", "l", "3")]),
        ("# no\n[A]\n\n[B]\nk=a=b\n", [("B", "k", "a=b")]),
        ("[A]\nk=end\\", [("A", "k", "end")]),
    ],
)
def test_settings(text: str, expected: list[tuple[str, str, str]]) -> None:
    assert list(read_settings(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a  b\tc", ["a", "b", "c"]),
        (""" "a b" 'c "d"' e""", ["a b", 'c "d"', "e"]),
        (r'''"it's" \x41\102 tab\there \s "q\"q"''', ["it's", "AB", "tab\there", " ", 'q"q']),
        (r"\d+ a\\b", [r"\d+", "a\\b"]),
        ('--x="a b"', ["--x=a b"]),
        ("''", [""]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert split_words(text) == expected


def test_unbalanced_quotes_are_refused() -> None:
    with pytest.raises(UnitError, match="unbalanced"):
        split_words('a "b')


def test_variables_of_a_command_line() -> None:
    command = split_commands([r"/bin/x ${A} pre${A}post $B $A$B $$HOME ${NONE} $NONE"], {"%": "%"})[0]
    arguments = command.arguments({"A": "1 2", "B": "x 'y z'"})
    assert arguments == ["1 2", "pre1 2post", "x", "y z", "$A$B", "$HOME", ""]


def test_prefixes_and_several_commands_in_a_line() -> None:
    first, second, third = split_commands(["-+/bin/a 1 ; @/bin/b name 2 \\; ';'", ":/bin/c ${A}"], {})
    assert (first.path, first.words, first.ignore_failure) == ("/bin/a", ("1",), True)
    assert (second.path, second.own_name, second.words) == ("/bin/b", "name", ("2", ";", ";"))
    assert (third.ignore_failure, third.arguments({"A": "1"})) == (False, ["${A}"])


def test_specifiers(tmp_path: Path) -> None:
    put(tmp_path, f"{LIB}/job@.service", "[Service]\nExecStart=/bin/x %H %l %n %N %p %i %% %t %S\n")
    unit = load_unit(tmp_path, "job@gpu-0", "node001.cluster.local")
    assert unit.run("ExecStart")[0].words == (
        *(
            "node001.cluster.local",
            "node001",
            "job@gpu-0.service",
            "job@gpu-0",
            "job",
            "gpu-0",
            "%",
            "/run",
            "/var/lib",
        ),
    )


def test_an_unknown_specifier_is_refused() -> None:
    with pytest.raises(UnitError, match="%Z"):
        expand("a%Z", {"H": "h"})


def test_the_environment(tmp_path: Path) -> None:
    unit = service(
        tmp_path,
        "Environment=A=1 \"B=two words\" 'C=%l'\nEnvironment=A=2\n"
        "EnvironmentFile=/etc/need\nEnvironmentFile=-/etc/%p\nExecStart=/bin/x",
    )
    assert unit.environment == {"A": "2", "B": "two words", "C": "node001"}
    assert unit.environment_files == (("/etc/need", False), ("/etc/x", True))


def test_an_environment_file() -> None:
    text = '# no\n; no\nA=plain value \n B = \'single $x \\n\'\nC="quo\\"ted"\nD=one\\\ntwo\nnot a variable\nE=\n'
    assert read_environment_file(text) == {
        "A": "plain value",
        "B": "single $x \\n",
        "C": 'quo"ted',
        "D": "onetwo",
        "E": "",
    }


def test_an_empty_assignment_resets(tmp_path: Path) -> None:
    unit = service(tmp_path, "ExecStart=/bin/a\nExecStart=\nExecStart=/bin/b\nEnvironment=A=1\nEnvironment=")
    assert [command.path for command in unit.run("ExecStart")] == ["/bin/b"]
    assert unit.environment == {}


def test_drop_ins_in_order_of_names_and_the_stronger_directory(tmp_path: Path) -> None:
    put(tmp_path, f"{LIB}/x.service", "[Service]\nExecStart=/bin/a\nEnvironment=A=0\n")
    put(tmp_path, f"{LIB}/x.service.d/20-b.conf", "[Service]\nEnvironment=A=lib\n")
    put(tmp_path, f"{ETC}/x.service.d/20-b.conf", "[Service]\nEnvironment=A=etc\n")
    put(tmp_path, f"{LIB}/x.service.d/10-a.conf", "[Service]\nEnvironment=A=first B=1\n")
    put(tmp_path, f"{ETC}/x.service.d/ignored.txt", "[Service]\nEnvironment=A=no\n")
    assert load_unit(tmp_path, "x", "h").environment == {"A": "etc", "B": "1"}


def test_the_stronger_directory_has_the_unit(tmp_path: Path) -> None:
    put(tmp_path, f"{LIB}/x.service", "[Service]\nExecStart=/bin/lib\n")
    put(tmp_path, f"{ETC}/x.service", "[Service]\nExecStart=/bin/etc\n")
    assert load_unit(tmp_path, "x.service", "h").run("ExecStart")[0].path == "/bin/etc"


def test_an_alias_is_followed_inside_the_tree_and_a_mask_is_refused(tmp_path: Path) -> None:
    put(tmp_path, f"{LIB}/real.service", "[Service]\nExecStart=/bin/a\n")
    (tmp_path / ETC).mkdir(parents=True)
    (tmp_path / ETC / "alias.service").symlink_to(f"/{LIB}/real.service")
    (tmp_path / ETC / "real.service").symlink_to("/dev/null")
    assert load_unit(tmp_path, "alias", "h").run("ExecStart")[0].path == "/bin/a"
    with pytest.raises(UnitError, match="masked"):
        load_unit(tmp_path, "real", "h")


def test_what_else_a_unit_says(tmp_path: Path) -> None:
    put(
        tmp_path,
        f"{ETC}/x.service",
        "[Unit]\nRequires=a.service basic.target\nBindsTo=b@%l.service\nWants=c.service\nConditionPathExists=!/run/%p\n"
        "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/a\nExecStart=/bin/b\nExecStop=-/bin/c\n"
        "RuntimeDirectory=one two/three\nRuntimeDirectoryMode=0750\nRuntimeDirectoryPreserve=yes\nStateDirectory=s\n"
        "WorkingDirectory=-/srv\nUser=nobody\nNoSuchDirective=1\n",
    )
    unit = load_unit(tmp_path, "x", "node001.lan")
    assert (unit.type, unit.remain_after_exit, len(unit.run("ExecStart"))) == ("oneshot", True, 2)
    assert (unit.requires, unit.wants) == (("a.service", "b@node001.service"), ("c.service",))
    assert unit.conditions == (("ConditionPathExists", "!/run/x"),)
    assert [(d.variable, d.path, d.mode) for d in unit.directories] == [
        ("RUNTIME_DIRECTORY", "/run/one", 0o750),
        ("RUNTIME_DIRECTORY", "/run/two/three", 0o750),
        ("STATE_DIRECTORY", "/var/lib/s", 0o755),
    ]
    assert (unit.working_directory, unit.keep_runtime_directory) == ("-/srv", True)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("Type=forking\nExecStart=/bin/a", "not simulated"),
        ("ExecStart=/bin/a\nExecStart=/bin/b", "found 2"),
        ("Environment=A=1", "found 0"),
        ("Type=oneshot", "no ExecStart="),
        ("ExecStart=/bin/a %Z", "%Z"),
        ("ExecStart=- 1", "no executable"),
        ("ExecStart=/bin/a\nRuntimeDirectory=a\nRuntimeDirectoryMode=rwx", "not a mode"),
    ],
)
def test_what_systemd_would_not_load_is_refused(tmp_path: Path, body: str, said: str) -> None:
    with pytest.raises(UnitError, match=said):
        service(tmp_path, body)


def test_a_missing_unit_has_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(UnitNotFoundError, match=r"unit nothing\.service not found"):
        load_unit(tmp_path, "nothing", "h")
