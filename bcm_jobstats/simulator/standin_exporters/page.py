"""A page of metrics in Prometheus' text format 0.0.4."""

from __future__ import annotations

Sample = tuple[dict[str, str], float]  # labels and value


class Page:
    """Metric families, in the order in which they were added."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def family(self, name: str, kind: str, text: str, *samples: Sample) -> None:
        """Add a family with its samples; nothing when there are none."""
        if samples:
            self.lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
        for labels, value in samples:
            inner = ",".join(f'{key}="{escaped(text)}"' for key, text in labels.items())
            number = str(int(value)) if value == int(value) else repr(value)
            self.lines.append(f"{name}{{{inner}}} {number}" if inner else f"{name} {number}")


def escaped(text: str) -> str:
    """A label value as the text format writes it."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
