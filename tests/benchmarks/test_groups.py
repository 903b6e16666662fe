from benchmarks.groups import GROUPS, parts_of


def test_no_group_means_every_part_once() -> None:
    parts = [part for group in GROUPS.values() for part in group]
    assert list(parts_of([])) == parts
    assert len(set(parts)) == len(parts)


def test_a_groups_parts_are_measured_alone() -> None:
    assert list(parts_of(["journal"])) == ["journal_event", "poll"]


def test_a_part_can_be_measured_by_itself() -> None:
    assert list(parts_of(["poll", "capacity"])) == ["poll", "capacity.model"]
