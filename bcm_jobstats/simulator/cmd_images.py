"""Commands on software images: provisioning, and revisions (bcm-facts §1.7, §6)."""

from __future__ import annotations

import time

from bcm_jobstats.simulator import messages, olderlayouts, tables
from bcm_jobstats.simulator.commits import Change
from bcm_jobstats.simulator.entities import Entity
from bcm_jobstats.simulator.session import Session, command
from bcm_jobstats.simulator.tables import Column

Words = tuple[str, ...]
REVISION_MARK = "@"
"""Between an image's name and the number of a revision: ``default-image@1``, in ``/cm/images/default-image-1``."""
DATE, TEXT = "revision date", "revision text"


@command("updateprovisioners")
def update_provisioners(session: Session, words: Words) -> None:
    """Tell the provisioning nodes that an image changed."""
    del words
    if session.places.here.mode != "softwareimage":
        raise messages.wrong_mode("updateprovisioners")
    session.daemon.start(session.daemon.provisioners.update)
    session.write("Provisioning nodes will be updated in the background.\n")


@command("provisioningstatus")
def provisioning_status(session: Session, words: Words) -> None:
    """What the provisioning system does, in one of the two layouts of bcm-facts §1.7."""
    del words
    if session.places.here.mode != "softwareimage":
        raise messages.wrong_mode("provisioningstatus")
    daemon = session.daemon
    images = ", ".join(sorted(daemon.state.table("softwareimage")))
    newer = daemon.switches["layouts"] == "newer"
    text = olderlayouts.PROVISIONING_NEWER if newer else olderlayouts.PROVISIONING_OLDER
    provisioning = daemon.nodes.provisioning
    active, waiting = list(provisioning.active), list(provisioning.waiting)
    told = {"busy": len(active), "active": _names(active), "waiting": _names(waiting), "images": images}
    told.update(head=daemon.head, slots=provisioning.slots(daemon.head), state="busy" if active else "idle")
    session.write(text.format(**told))


def _names(nodes: list[str]) -> str:
    return ", ".join(nodes) or "<none>"


def _image(session: Session, words: Words, name: str) -> tuple[str, Entity]:
    if session.places.here.mode != "softwareimage":
        raise messages.wrong_mode(name)
    image = words[0] if words else str(session.places.here.chosen)
    found = session.daemon.state.table("softwareimage").get(image)
    if found is None:
        raise messages.no_such("image", image)
    return image, found


def _revisions(session: Session, image: str) -> dict[int, Entity]:
    """The revisions of an image by number."""
    entries = session.daemon.state.table("softwareimage")
    told = {name.rpartition(REVISION_MARK): entity for name, entity in entries.items()}
    return {int(number): entity for (base, mark, number), entity in told.items() if mark and base == image}


@command("newrevision")
def new_revision(session: Session, words: Words) -> None:
    """Keep the image as it is now: ``newrevision default-image "text"``. It is there at once, without a commit."""
    if len(words) != 2:
        raise messages.usage("newrevision <image> <text>")
    image, entity = _image(session, words, "newrevision")
    number = max(_revisions(session, image), default=0) + 1
    kept = entity.copy()
    name = f"{image}{REVISION_MARK}{number}"
    kept.values.update(name=name, path=f"{entity.values['path']}-{number}")
    kept.extra.update({DATE: time.strftime("%a, %d %b %Y %H:%M:%S %Z"), TEXT: words[1]})
    session.daemon.commit([Change("softwareimage", name, None, kept, cloned_from=image)], session.link)


@command("revisions")
def revisions(session: Session, words: Words) -> None:
    """List the revisions of an image."""
    image, _ = _image(session, words, "revisions")
    found = sorted(_revisions(session, image).items())
    rows = [(str(number), entity.extra[DATE], entity.extra[TEXT]) for number, entity in found]
    columns = [Column("ID", 4, 4), Column("Date", 32, 32), Column("Description", 40, 40)]
    session.write(tables.table(columns, rows))


@command("createramdisk")
def create_ramdisk(session: Session, words: Words) -> None:
    """Make the initial ramdisk of an image, in the background: only its event is played (bcm-facts §6)."""
    image, _ = _image(session, words, "createramdisk")
    told = f"{session.daemon.head}: Initial ramdisk for image {image} was generated successfully"

    def tell() -> None:
        session.daemon.events.add([told])

    session.daemon.start(tell)
