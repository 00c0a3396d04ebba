"""What a site supplies to its images in tests of the lab: programs as artifacts, good ones and bad ones."""

from __future__ import annotations

import hashlib
import io
import tarfile

from bcm_jobstats.simulator.lab import monitoring
from bcm_jobstats.simulator.layout import HEAD
from tests.lab.labs import Lab

CATEGORY, SOURCE, BUILT = "dgx-h100", "dgx-image", "dgx-image-jobstats"
PROGRAM = "/usr/local/bin/cgroup_exporter"
FOLDER = "/srv/artifacts"
ROLES = """\
roles:
  jobstats: {{attach: {{categories: [{category}]}}}}
  dcgm-exporter: {{attach: {{categories: [{category}]}}}}
prometheus: {{url: "http://{head}:9090"}}
rollout: {{settle: 2s, timeout: 90s}}
artifacts:
  cgroup_exporter:
    version: "{version}"
    x86_64: {{archive: {folder}/cgroup_exporter.tar.gz, member: x/cgroup_exporter, sha256: {sum}}}
"""


def prepare(lab: Lab) -> None:
    """The product on the head node, and a program that the site supplies."""
    monitoring.install_product(lab.pod)
    supply(lab, "0.3.3", good(lab, "0.3.3"))


def good(lab: Lab, version: str) -> bytes:
    """The stand-in of the exporter that came with the image, as another release of it."""
    text = lab.path(f"/cm/images/{SOURCE}{PROGRAM}").read_bytes()
    return text + f"# SIMULATED release {version}\n".encode()


def supply(lab: Lab, version: str, program: bytes) -> None:
    """Have the site file name an archive with `program` in it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("x/cgroup_exporter")
        member.size, member.mode = len(program), 0o755
        archive.addfile(member, io.BytesIO(program))
    file = lab.path(f"{FOLDER}/cgroup_exporter.tar.gz")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(packed.getvalue())
    total = hashlib.sha256(packed.getvalue()).hexdigest()
    lab.site(ROLES.format(category=CATEGORY, head=HEAD, version=version, folder=FOLDER, sum=total))
