import pytest

from sip.stages import TOGETHER, Stages, at_once, side_by_side


class Workshop:
    """Works that note when each of their stages is done."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def work(self, name: str, stages: int, *, fails: bool = False) -> Stages[None]:
        for stage in range(1, stages + 1):
            if stage > 1:
                yield
            self.done.append(f"{name}{stage}")
        if fails:
            raise ValueError(name)


def test_what_came_together_goes_through_each_stage_together() -> None:
    shop = Workshop()

    side_by_side([shop.work("a", 3), shop.work("b", 1), shop.work("c", 2)])

    assert shop.done == ["a1", "b1", "c1", "a2", "c2", "a3"]


def test_more_than_some_are_done_some_after_some() -> None:
    shop = Workshop()

    side_by_side([shop.work(f"{number}.", 2) for number in range(TOGETHER + 1)])

    assert shop.done[-2:] == [f"{TOGETHER}.1", f"{TOGETHER}.2"]
    assert len(shop.done) == 2 * (TOGETHER + 1)


def test_nothing_to_do_is_done_at_once() -> None:
    side_by_side([])


def test_a_work_that_fails_leaves_none_of_the_others_lying() -> None:
    shop = Workshop()
    works = [shop.work("a", 2), shop.work("b", 1, fails=True), shop.work("c", 2, fails=True)]

    with pytest.raises(ExceptionGroup) as raised:
        side_by_side(works)

    assert [str(each) for each in raised.value.exceptions] == ["b", "c"]
    assert shop.done == ["a1", "b1", "c1", "a2", "c2"]


def test_a_work_that_is_done_at_once_returns_what_comes_of_it() -> None:
    def addition() -> Stages[int]:
        yield
        one = yield from half()
        yield
        return one + 1

    def half() -> Stages[int]:
        yield
        return 1

    assert at_once(addition()) == 2


def test_a_work_that_is_done_at_once_raises_what_it_raises() -> None:
    with pytest.raises(ValueError, match="a"):
        at_once(Workshop().work("a", 3, fails=True))
