"""The catalogue of segments: the shipped one is sound, an own one is easy, faults are named."""

import ibis
import pytest

from cdp_lib.checks import Refusal
from cdp_lib.customers import profile
from cdp_lib.customers.catalogue import CHANNELS, GROUPS, bound, load
from cdp_lib.customers.portrait import ADDED
from cdp_lib.customers.possible import possible_features

ENTRY = '[big]\ntitle = "Big"\nwhere = "spend_rank > 0.9"\nwhy = "w"\naction = "a"\n'


def whole_table(catalogue_=None):
    """An empty table with every column that a portrait can have."""
    kinds = {"category": "string", "yes/no": "boolean", "count": "int64"}
    columns = {"customer_id": "string"}
    columns |= {name: kinds.get(one.unit, "float64") for name, one in possible_features().items()}
    columns |= {name: kinds.get(unit, "float64") for name, (unit, *_) in ADDED.items()}
    columns |= {n: kinds.get(unit, "float64") for n, (unit, _) in load().columns.items()}
    return ibis.table(columns, name="everything")


@pytest.fixture
def own(tmp_path):
    def write(text):
        file = tmp_path / "own.toml"
        file.write_text(text, encoding="utf-8")
        return file

    return write


def test_the_shipped_catalogue_is_large_and_every_entry_is_whole():
    shipped = load()
    assert len(shipped) >= 130
    assert {one.group for one in shipped.segments} == set(GROUPS) - {"own"}
    titles = [one.title for one in shipped.segments]
    assert len(set(titles)) == len(titles) and len({one.where for one in shipped.segments}) == len(
        titles
    )
    for one in shipped.segments:
        assert one.title[0].isupper() or one.title[0].isdigit(), one.name
        assert one.why.endswith(".") and not one.action.endswith("."), one.name
        assert one.channel in CHANNELS and len(one.title) <= 60, one.name


def test_every_shipped_predicate_reads_on_a_shop_that_has_everything():
    assert [one.segment.name for one in bound(load(), whole_table()) if one.condition is None] == []


def test_a_shop_without_a_table_is_told_what_a_segment_needs():
    table = whole_table()
    poor = table.drop([n for n, one in possible_features().items() if one.source == "messages"])
    found = {one.segment.name: one for one in bound(load(), poor)}
    assert found["clickers"].condition is None
    assert found["clickers"].needs == "messages (messages_clicked_90d)"
    assert found["champions"].condition is not None and found["champions"].needs == ""
    bare = {
        one.segment.name: one.needs for one in bound(load(), table.drop("p_alive", "quiz_size"))
    }
    assert bare["probably_gone"] == "the table of values, joined on"
    assert bare["size_known"] == "a quiz answer among the customers"


def test_a_typo_is_no_missing_table(own):
    text = ENTRY.replace("spend_rank > 0.9", "revenu_90d > 200")
    with pytest.raises(Refusal) as refusal:
        bound(load(own(text)), whole_table())
    assert str(refusal.value).startswith("own.toml, line 1, [big].where = 'revenu_90d > 200'")
    assert "there is no column 'revenu_90d'" in str(refusal.value)
    assert "did you mean 'revenue_90d'" in str(refusal.value)


def test_types_are_checked_even_where_the_column_is_missing(own):
    text = ENTRY.replace("spend_rank > 0.9", "messages_28d = 'many'")
    table = ibis.table({"customer_id": "string", "orders_ever": "int64"}, name="poor")
    with pytest.raises(Refusal, match="messages_28d is a number and 'many' a text"):
        bound(load(own(text)), table)


def test_an_own_catalogue_stands_alone_or_adds_to_the_shipped_one(own):
    alone = load(own(ENTRY))
    assert [one.name for one in alone.segments] == ["big"]
    assert (alone["big"].channel, alone["big"].group) == ("none", "own")
    more = load(own('base = "shipped"\n' + ENTRY + ENTRY.replace("[big]", "[champions]")))
    assert len(more) == len(load()) + 1  # one is new, one replaces
    assert more["champions"].where == "spend_rank > 0.9"
    assert more.only(["big", "lost"]).titles == {"big": "Big", "lost": "Lost"}
    joined = load(own('[columns]\nnps = { unit = "number", from = "a survey" }\n' + ENTRY.replace(
        "spend_rank > 0.9", "nps >= 9")))  # fmt: skip
    (one,) = bound(joined, whole_table())
    assert one.condition is None and one.needs == "a survey"
    with_it = whole_table().mutate(nps=ibis.literal(9.0))
    assert bound(joined, with_it)[0].condition is not None


FAULTS = {
    "[big": "not valid TOML",
    "": "has no segment",
    "x = 3\n": "own.toml, [x] = 3: not a segment",
    '[a]\n\n[big]\ntitle = "t"\n': "own.toml, line 1, [a].title = None: is missing",
    ENTRY.replace('why = "w"\n', ""): "own.toml, line 1, [big].why = None: is missing",
    ENTRY + 'chanel = "email"\n': "did you mean 'channel'",
    ENTRY + 'channel = "e-mail"\n': "did you mean 'email'",
    ENTRY + 'group = "plase"\n': "did you mean 'place'",
    ENTRY + "channel = 3\n": "[big].channel = 3: not a text",
    "\n\n" + ENTRY.replace("spend_rank > 0.9", "spend_rank > 0.9; drop table x"): "line 3, [big]",
    ENTRY + ENTRY: "not valid TOML",
    'base = "shiped"\n' + ENTRY: "did you mean 'shipped'",
    "[columns]\nnps = 3\n" + ENTRY: "[columns].nps = 3: needs unit and from",
    'columns = "nps"\n' + ENTRY: "not a section",
}


@pytest.mark.parametrize("text", FAULTS)
def test_a_fault_is_named_with_its_place(own, text):
    with pytest.raises(Refusal) as refusal:
        load(own(text))
    assert FAULTS[text] in str(refusal.value)


def test_files_that_are_not_there_or_no_text(tmp_path):
    with pytest.raises(Refusal, match="no such file"):
        load(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Refusal, match="not valid TOML"):
        load(tmp_path / "binary.toml")
    with pytest.raises(Refusal, match="did you mean 'champions'"):
        load()["champion"]


def test_what_a_profile_can_ever_have_is_what_a_whole_shop_has(make_shop, duckdb_con):
    import random_shops

    shop = make_shop(duckdb_con, random_shops.tables(3), as_of="2026-07-01")
    here = {one.name: one for one in profile.features(shop)}
    possible = possible_features()
    extras = set(here) - set(possible)
    told = set(shop.mapped("customers").extras)
    assert extras <= told | {f"{name}_attribute" for name in told}
    for name in set(here) & set(possible):
        assert (here[name].unit, here[name].source) == (possible[name].unit, possible[name].source)
    # What a shop with orders lacks are the purchases that orders tell better.
    assert {name for name in possible if name not in here} >= {"purchase_30d"}
