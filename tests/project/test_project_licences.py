"""The licence table names every shipped distribution, as it is locked, and nothing that may not be used commercially."""

import re

import licences


def test_the_table_is_up_to_date() -> None:
    assert licences.TABLE.read_text() == licences.table(), "run `make licences`"


def test_every_licence_is_known_and_allowed() -> None:
    for line in licences.TABLE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0] not in ("distribution", "---"):
            assert licences.ALLOWED.search(cells[2]), f"{cells[0]}: licence {cells[2]!r} is not known"
            assert not licences.FORBIDDEN.search(cells[2]), f"{cells[0]}: licence {cells[2]!r} is not allowed"


def test_all_locks_agree() -> None:
    """The images of geneface and eval share one environment, and `local` holds them all."""
    pins: dict[str, set[frozenset[str]]] = {}
    for lock in licences.ROOT.glob("requirements/*.txt"):
        if lock.stem != "reference":  # other people's code, in a folder of its own
            versions: dict[str, set[str]] = {}
            for name, version in re.findall(r"^([\w.-]+)==([^ ;\\]+)", lock.read_text(), re.MULTILINE):
                versions.setdefault(name, set()).add(version)  # several: one for each Python
            for name, found in versions.items():
                pins.setdefault(name, set()).add(frozenset(found))
    assert {name: found for name, found in pins.items() if len(found) > 1} == {}
