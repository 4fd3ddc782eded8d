"""A policy file is read whole or refused, with the place in the file."""

import pytest

from cdp_lib.activate.policy import LISTS, SHIPPED, read_policy
from cdp_lib.checks import Refusal

TWO = """
[audience.carts]
list = "abandoned_carts"
{}
[audience.browses]
list = "abandoned_browses"
{}
"""


def written(tmp_path, text: str):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


def test_the_shipped_policy_puts_first_things_first():
    policy = read_policy()
    place = {name: i for i, name in enumerate(policy.names)}
    order = ["service_recovery", "likely_churners", "abandoned_carts", "cross_sell"]
    assert sorted(order, key=place.__getitem__) == order
    assert set(policy.one("cross_sell").never_for) == {"likely_churners", "service_recovery"}
    assert "likely_churners" in policy.ads_exclude
    assert {one.list for one in policy.audiences} == set(LISTS)
    assert all(one.title and one.why for one in policy.audiences)
    assert policy.path == SHIPPED and policy.most_messages > 0


def test_the_order_is_that_of_the_file_moved_where_after_asks(tmp_path):
    assert read_policy(written(tmp_path, TWO.format("", ""))).names == ("carts", "browses")
    moved = written(tmp_path, TWO.format('after = ["browses"]', ""))
    assert read_policy(moved).names == ("browses", "carts")


def test_a_chain_of_after_keeps_what_is_free_in_place(tmp_path):
    blocks = {"a": '["d"]', "b": "[]", "c": '["a"]', "d": "[]"}
    text = "".join(
        f'[audience.{name}]\nlist = "price_drop"\nafter = {after}\n'
        for name, after in blocks.items()
    )
    assert read_policy(written(tmp_path, text)).names == ("d", "a", "b", "c")


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (TWO.format('after = ["browses"]', 'after = ["carts"]'),
         "mine.toml line 7, audience.browses.after", "goes in a circle"),
        (TWO.format('after = ["carts"]', ""), "mine.toml line 4, audience.carts.after", "circle"),
        (TWO.format('after = ["browse"]', ""), "mine.toml line 4, audience.carts.after",
         "did you mean 'browses'"),
        (TWO.format("", 'never_for = ["cart"]'), "mine.toml line 7, audience.browses.never_for",
         "did you mean 'carts'"),
        (TWO.format('colour = "red"', ""), "mine.toml line 4, audience.carts.colour", "known"),
        (TWO.format('segment = "loyal"', ""), "mine.toml line 2, audience.carts", "exactly one"),
        ('[audience.x]\nlist = "abandoned_cart"', "mine.toml line 2, audience.x.list",
         "did you mean 'abandoned_carts'"),
        ('[audience.x]\nsegment = "loyl"', "mine.toml line 2, audience.x.segment", "'loyal'"),
        (TWO.format('most = "few"', ""), "mine.toml line 4, audience.carts.most", "not a number"),
        (TWO.format("most = -1", ""), "mine.toml line 4, audience.carts.most", "at least 0"),
        (TWO.format("channels = []", ""), "mine.toml line 4, audience.carts.channels", "no way"),
        (TWO.format('channels = "email"', ""), "mine.toml line 4", "not a list of names"),
        (TWO.format('discount = "yes"', ""), "mine.toml line 4", "never, try, measured"),
        (TWO.format("holdout = 0", ""), "mine.toml line 4", "why_no_holdout"),
        (TWO.format("holdout = 1.0", ""), "mine.toml line 4", "must lie in"),
        (TWO.format("counts = 1", ""), "mine.toml line 4", "true or false"),
        (TWO.format("window_days = 0", ""), "mine.toml line 4", "greater than 0"),
        ("[audience.'../x']\nlist = \"price_drop\"", "audience.../x", "cannot be a file's name"),
        ("[limits]\nmost = 3\n" + TWO.format("", ""), "line 2, limits.most", "most_messages"),
        ("[ads]\nexclude = ['nobody']\n" + TWO.format("", ""), "mine.toml line 2, ads.exclude",
         "not a known choice"),
        ("[discount]\nleast_affinity = 5\n" + TWO.format("", ""), "mine.toml line 2", "in [0, 1]"),
        ("[audiences.x]\nlist = 'price_drop'", "audiences", "did you mean 'audience'"),
        ("[audience.x\n", "mine.toml", "not valid TOML"),
        ("", "mine.toml", "no audience"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_its_place(tmp_path, text, place, words):
    with pytest.raises(Refusal) as refused:
        read_policy(written(tmp_path, text), segments=("loyal", "lost"))
    assert place in refused.value.place
    assert words in str(refused.value)


def test_no_such_file_is_refused(tmp_path):
    with pytest.raises(Refusal, match="no such file"):
        read_policy(tmp_path / "none.toml")


def test_reading_runs_nothing(tmp_path):
    """Texts of a policy stay texts."""
    hostile = written(tmp_path, TWO.format("title = \"__import__('os').remove('x')\"", ""))
    assert read_policy(hostile).one("carts").title.startswith("__import__")
