"""Fill a week's folder: pages, executed notebooks, headlines, overview and manifest."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from cdp_lib.checks import Refusal
from cdp_lib.report.execute import Executed
from cdp_lib.report.findings import Headline
from cdp_lib.report.index import Week, index_html
from cdp_lib.report.page import headlines_of, notebook_title, page_html
from cdp_lib.report.record import Outcome, manifest, notebook_text, scrub

LISTS = "lists"  # folder of the week's lists; notebooks that write one have this parameter
_FIELDS = ("notebook", *Headline.__dataclass_fields__)
_OF_EXPERIMENTS = ("experiment", "metric", "arm", "abs_lift", "rel_lift", "srm_pvalue")


def assemble(
    folder: Path,
    out: Path,
    week: str,
    shop,
    executed: dict[str, Executed],
    values: dict[str, dict],
    kept: dict[str, Outcome],
    health: dict,
) -> list[Outcome]:
    """Write everything of the week into `folder`; returns how each notebook went, by name.

    `kept` are notebooks that were not run this time; their files are taken from the week's
    report before. `health` is what `health_of` found.
    """
    about = {"Shop": shop.name, "Week": week, "Data until": f"{shop.as_of:%Y-%m-%d %H:%M} UTC"}
    outcomes = dict(kept)
    for name in kept:
        for ending in (".html", ".ipynb"):
            if (out / week / f"{name}{ending}").exists():
                shutil.copyfile(out / week / f"{name}{ending}", folder / f"{name}{ending}")
        _keep_lists(out / week, folder, name.partition("-")[0])
    for name, done in executed.items():
        (folder / f"{name}.ipynb").write_text(
            notebook_text(done.notebook, folder), encoding="utf-8"
        )
        if done.status != "not run":
            page = page_html(done.notebook, about, index="index.html")
            (folder / f"{name}.html").write_bytes(page.encode())
        outcomes[name] = _outcome(name, done, values[name], folder)
    ordered = [outcomes[name] for name in sorted(outcomes)]
    headlines = [headline for outcome in ordered for headline in outcome.headlines]
    record = manifest(week, shop, ordered, health)
    _write_json(folder / "headlines.json", headlines)
    _write_json(folder / "manifest.json", record)
    facts = Week(week, shop.name, shop.as_of, shop.currency)
    page = index_html(facts, ordered, earlier_headlines(out, week, shop.name), health)
    (folder / "index.html").write_bytes(page.encode())
    return ordered


def earlier_pages(report: Path, shop, names: Iterable[str]) -> dict[str, Outcome]:
    """Of the week's report before, the notebooks that are not run again, if its data ended alike.

    Raises Refusal when that report is of another shop.
    """
    before = read_json(report / "manifest.json")
    if not isinstance(before, dict):
        return {}
    if before.get("shop") != shop.name:
        raise Refusal(
            "shop",
            shop.name,
            f"{report} holds the report of {before.get('shop')!r}",
            "give another folder with --out",
        )
    if before.get("as_of") != f"{shop.as_of:%Y-%m-%dT%H:%M:%SZ}":
        return {}
    headlines = read_json(report / "headlines.json") or []
    return {
        record["name"]: Outcome(
            **record,
            headlines=tuple(h for h in headlines if h["notebook"] == record["name"]),
        )
        for record in before["notebooks"]
        if record["name"] in set(names)
    }


def earlier_headlines(out: Path, week: str, shop: str) -> list[tuple[str, list[dict]]]:
    """The headlines of the shop's reports of earlier weeks, oldest first."""
    found = []
    for path in sorted(out.glob("[0-9]*-W[0-9]*/manifest.json")):
        record = read_json(path)
        if isinstance(record, dict) and record.get("shop") == shop and record["week"] < week:
            headlines = read_json(path.parent / "headlines.json")
            found.append((record["week"], headlines if isinstance(headlines, list) else []))
    return found


def health_of(shop) -> dict:
    """The shop's rows and what is wrong with them: `rows`, `span`, `problems` and `fatal`."""
    from cdp_lib.tables.health import check

    report = check(shop)
    counts: pd.DataFrame = report.row_counts
    rows = {
        str(row.table): {
            "n_read": int(row.n_read),
            "n_set_aside": int(row.n_set_aside),
            "n_used": int(row.n_used),
        }
        for row in counts.itertuples()
    }
    known = counts[counts["table"].isin(["events", "orders"])]
    first, last = known["first"].dropna(), known["last"].dropna()
    span = {
        "first": f"{first.min():%Y-%m-%d %H:%M:%S}" if len(first) else None,
        "last": f"{last.max():%Y-%m-%d %H:%M:%S}" if len(last) else None,
    }
    fatal = bool(report.fatal)
    return {"rows": rows, "span": span, "problems": report.problems, "fatal": fatal}


def read_json(path: Path) -> object:
    """A JSON file of an earlier report, or None when it is absent or unreadable."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _keep_lists(before: Path, folder: Path, notebook: str) -> None:
    """Take over the lists of a notebook from the week's report before, but for those made anew."""
    for path in sorted((before / LISTS).glob(f"{notebook}*")):
        (folder / LISTS).mkdir(exist_ok=True)
        if not (folder / LISTS / path.name).exists():
            shutil.copy2(path, folder / LISTS / path.name)


def _outcome(name: str, done: Executed, values: dict, folder: Path) -> Outcome:
    found = headlines_of(done.notebook) if done.status == "done" else []
    headlines = tuple(
        {key: ({"notebook": name} | headline).get(key) for key in _FIELDS}
        | {key: headline[key] for key in _OF_EXPERIMENTS if key in headline}
        for headline in found
    )
    texts = {k: v.replace(str(folder), ".") for k, v in values.items() if isinstance(v, str)}
    shown = {**values, **{key: scrub(text) for key, text in texts.items()}}
    if Path(str(shown.get("shop", ""))).is_absolute():
        shown["shop"] = Path(shown["shop"]).name
    return Outcome(
        name=name,
        title=notebook_title(done.notebook) or name,
        status=done.status,
        message=scrub(done.message),
        parameters=shown,
        seconds=done.seconds,
        peak_mb=done.peak_mb,
        headlines=headlines,
    )


def _write_json(path: Path, content: object) -> None:
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
