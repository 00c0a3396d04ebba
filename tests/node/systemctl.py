"""A systemctl for tests: units are files that hold their ActiveState. The real one is in the lab's tests."""

from __future__ import annotations

from pathlib import Path

SCRIPT = """\
#!/bin/bash
# Units lie in {units}; one named broken.UNIT does not start. Every call is noted in {log}.
words=()
for word in "$@"; do [[ $word == -* ]] || words+=("$word"); done
echo "${{words[*]}}" >>{log}
[[ ! -e {units}/hangs ]] || exec sleep 100
[[ ! -e {units}/gone ]] || {{ echo "Failed to connect to bus: No such file or directory" >&2; exit 1; }}
[[ ! -e {units}/silent ]] || exit 0
status=0 first=1
for unit in "${{words[@]:1}}"; do
    file={units}/$unit
    case ${{words[0]}} in
    show)
        ((first)) || echo
        first=0
        if [[ -e $file ]]; then printf 'LoadState=loaded\\nActiveState=%s\\n' "$(<"$file")"
        else printf 'LoadState=not-found\\nActiveState=inactive\\n'; fi ;;
    start)
        if [[ ! -e $file ]]; then echo "Failed to start $unit: Unit $unit not found." >&2; status=5
        elif [[ -e {units}/broken.$unit ]]; then echo failed >"$file"; status=1
        else echo active >"$file"; fi ;;
    stop) [[ ! -e $file ]] || echo inactive >"$file" ;;
    reset-failed) [[ -e $file ]] || status=1 ;;
    is-active)
        state=inactive
        [[ ! -e $file ]] || state=$(<"$file")
        [[ ! -e {units}/$unit.ends ]] || {{ echo inactive >"$file"; rm {units}/$unit.ends; }}
        echo "$state"
        [[ $state == active ]] || status=3 ;;
    esac
done
exit $status
"""


class Systemctl:
    """The program, below `root`, and what it knows."""

    def __init__(self, root: Path, *units: str) -> None:
        self.folder, self.units, self.log = root / "bin", root / "units", root / "systemctl.log"
        self.folder.mkdir(parents=True)
        self.units.mkdir()
        self.program = self.folder / "systemctl"
        self.program.write_text(SCRIPT.format(units=self.units, log=self.log))
        self.program.chmod(0o755)
        self.path = f"{self.folder}:/usr/bin:/bin"
        for unit in units:
            self.be(unit, "inactive")

    def be(self, unit: str, state: str) -> None:
        """Have a unit in a state."""
        (self.units / f"{unit}.service").write_text(f"{state}\n")

    def mark(self, what: str) -> None:
        """`hangs`, `gone` (the bus), `silent`, `broken.UNIT.service`, `UNIT.service.ends` (once it was asked for)."""
        (self.units / what).touch()

    def states(self) -> dict[str, str]:
        """By unit."""
        return {path.stem: path.read_text().strip() for path in self.units.glob("[!b]*.service")}

    def calls(self) -> list[str]:
        """Verb and units of each call so far."""
        return self.log.read_text().splitlines() if self.log.exists() else []
