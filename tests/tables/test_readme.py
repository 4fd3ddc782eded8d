"""The contract for people, data/README.md, says what the contract in code says."""

from pathlib import Path

from cdp_lib.tables import CONTRACT, EVENTS
from cdp_lib.tables.config import ShopFile, TableSpec

README = Path(__file__).parents[2] / "data" / "README.md"


def for_people():
    """The tables and the event names as the section of the README."""
    parts = ["Events: " + ", ".join(f"`{name}`" for name in EVENTS) + "."]
    for table in CONTRACT.values():
        key = ", ".join(table.key)
        cut = f"; cut by `{table.cut_by}`" if table.cut_by else ""
        late = f"; known from `{table.known_by}` on" if table.known_by else ""
        parts.append(
            f"### {table.name}\n\nA row is {table.grain}. Key: {key}{cut}{late}.\n\n"
            "| column | type | meaning |\n|---|---|---|\n"
            + "\n".join(
                f"| {f'**{c.name}**' if c.required else c.name} | {c.dtype} | {c.meaning} |"
                for c in table.columns
            )
        )
    return "\n\n".join(parts) + "\n"


def test_the_readme_has_the_contract():
    text = README.read_text(encoding="utf-8")
    assert text.endswith("\n\n" + for_people()), (
        "the last section differs from the contract; run python tests/tables/test_readme.py"
    )


def test_the_readme_names_everything_that_a_shop_file_may_say():
    text = README.read_text(encoding="utf-8")
    names = [*ShopFile.__dataclass_fields__, *TableSpec.__dataclass_fields__]
    for name in {*names} - {"url", "experiments"}:
        assert name in text, name


if __name__ == "__main__":
    start = README.read_text(encoding="utf-8").split("Events: `")[0]
    README.write_text(start + for_people(), encoding="utf-8")
