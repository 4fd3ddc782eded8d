"""The command line: `cdp check`, `simulate`, `weekly`, `run`, `ledger`, `version`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cdp_lib import __version__
from cdp_lib.checks import Refusal

REFUSED = 2


class _Commands(typer.core.TyperGroup):
    """Turns a refusal into one line on stderr and exit status 2."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except Refusal as refusal:
            typer.secho(str(refusal), fg="red", err=True)
            raise typer.Exit(REFUSED) from refusal


app = typer.Typer(
    cls=_Commands,
    help="Where does the shop lose people, and what is it worth? A report every week.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ShopPath = Annotated[str, typer.Option(help="The shop.toml that says where its tables lie.")]
AsOf = Annotated[str, typer.Option(help="End of the data (exclusive), such as 2026-11-23.")]
Pairs = Annotated[list[str], typer.Option("-p", help="A parameter; may be given several times.")]
Timeout = Annotated[float, typer.Option(help="Seconds that one notebook may take.", min=1)]


@app.command()
def check(shop: ShopPath, as_of: AsOf = "") -> None:
    """Check a shop's tables against the contract; exit status 1 when a problem is fatal."""
    from cdp_lib.tables import open_shop
    from cdp_lib.tables.health import check as health

    report = health(open_shop(shop, as_of=as_of or None))
    typer.echo(report.to_text())
    if report.fatal:
        raise typer.Exit(1)


@app.command()
def simulate(
    out: Annotated[str, typer.Option(help="Folder for the tables and the truth.")] = "",
    customers: Annotated[int, typer.Option(help="How many customers.", min=1)] = 20_000,
    weeks: Annotated[int, typer.Option(help="How many weeks.", min=1)] = 52,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 7,
    dirt: Annotated[bool, typer.Option(help="Add repeats, bots, clock skew, lost ids.")] = False,
    advance: Annotated[
        int, typer.Option(help="Let a simulated --shop live more weeks.", min=0)
    ] = 0,
    shop: Annotated[str, typer.Option(help="With --advance: its shop.toml.")] = "",
) -> None:
    """Write a simulated shop with known truth; or let one live on, as its ledger says."""
    from rich.console import Console
    from rich.progress import Progress

    from cdp_lib.world import simulate as make

    if bool(advance) != bool(shop) or bool(advance) == bool(out):
        raise Refusal(
            "simulate", {"out": out, "advance": advance, "shop": shop}, "no new and no old shop",
            "pass --out FOLDER, or --advance WEEKS --shop SHOP.TOML",
        )  # fmt: skip
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Simulating", total=None)

        def progress(done: int, total: int, label: str = "") -> None:
            bar.update(task, completed=done, total=total, description=label or "Simulating")

        if advance:
            done = _live_on(shop, advance, progress)
        else:
            done = make(out, customers, weeks, seed, dirt, progress=progress)
    typer.echo(done)


def _live_on(shop: str, weeks: int, progress) -> Path:
    from cdp_lib.activate.ledger import FILE, Ledger
    from cdp_lib.activate.sent import contacts
    from cdp_lib.tables.config import find
    from cdp_lib.world import advance

    path = find(shop)
    return advance(path, contacts(Ledger(path.parent / FILE)), weeks, progress)


@app.command()
def weekly(
    shop: ShopPath,
    as_of: AsOf = "",
    out: Annotated[Path, typer.Option(help="Folder of the reports.")] = Path("reports"),
    only: Annotated[list[str], typer.Option(help="These notebooks alone, as in 02,05.")] = [],  # noqa: B006
    jobs: Annotated[int, typer.Option(help="Notebooks at once.", min=1)] = 2,
    parameter: Pairs = [],  # noqa: B006
    notebooks: Annotated[Path, typer.Option(help="Folder of the notebooks.")] = Path("notebooks"),
    timeout: Timeout = 3600,
    send: Annotated[bool, typer.Option(help="Let the audiences leave, into the ledger.")] = True,
) -> None:
    """Run the notebooks and publish the week's report; -p takes notebook.name=value.

    Exit status: 0 when all went well or lacked a table, 1 when a notebook failed, 2 when
    the input was refused.
    """
    from cdp_lib.report.run import weekly as run_weekly

    done = run_weekly(
        shop,
        as_of=as_of or None,
        out=out,
        only=only,
        jobs=jobs,
        parameters=parameter,
        notebooks_dir=notebooks,
        timeout_seconds=timeout,
        progress=_progress(),
        send=send,
    )
    typer.echo(done.index)
    if done.failed:
        raise typer.Exit(1)


@app.command()
def run(
    notebook: Annotated[Path, typer.Argument(help="The notebook to run.")],
    shop: Annotated[str, typer.Option(help="Value of the notebook's `shop` parameter.")] = "",
    out: Annotated[Path, typer.Option(help="Folder for the result.")] = Path("reports"),
    parameter: Pairs = [],  # noqa: B006
    timeout: Timeout = 3600,
) -> None:
    """Run one notebook; writes the executed notebook and its page. -p takes name=value."""
    from cdp_lib.report.run import run_notebook

    given = dict([("shop", shop)] if shop else [])
    for text in parameter:
        name, equals, value = text.partition("=")
        if not equals:
            raise Refusal("-p", text, "cannot be read", "write -p name=value")
        given[name.strip()] = value
    executed, page = run_notebook(notebook, given, out, timeout, _progress())
    typer.echo(page)
    if executed.status == "failed":
        raise typer.Exit(1)


ledger = typer.Typer(help="The ledger: what was sent, and who was held out.", no_args_is_help=True)
app.add_typer(ledger, name="ledger")


@ledger.command()
def show(shop: ShopPath) -> None:
    """List the experiments of a shop's ledger; it names nobody."""
    from cdp_lib.activate.ledger import ledger_of
    from cdp_lib.activate.ledger_check import summary
    from cdp_lib.tables.config import read_shop_file

    rows = summary(ledger_of(read_shop_file(shop)))
    typer.echo("Nothing has been sent." if rows.empty else rows.to_string(index=False, na_rep="–"))


@ledger.command()
def verify(
    shop: ShopPath,
    ids: Annotated[bool, typer.Option(help="Also print each row; it names customers.")] = False,
) -> None:
    """Derive every assignment again and account for every delivery; exit status 1 on a problem."""
    from cdp_lib.activate.ledger import ledger_of
    from cdp_lib.activate.ledger_check import problems, summary
    from cdp_lib.tables.config import read_shop_file

    opened = ledger_of(read_shop_file(shop))
    found, rows = problems(opened), summary(opened)
    if not found.empty:
        counted = found.groupby(["experiment_id", "problem"], sort=False).size()
        typer.echo((found if ids else counted.rename("rows").reset_index()).to_string(index=False))
        raise typer.Exit(1)
    units = int((rows.n_treated + rows.n_holdout).sum())
    count = f"{len(rows):,} experiment{'' if len(rows) == 1 else 's'}"
    typer.echo(f"{count}, {units:,} assignments derived again: all as recorded.")


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def _progress():
    from cdp_lib.report.progress import Lines, LiveTable

    return LiveTable() if sys.stdout.isatty() else Lines()


if __name__ == "__main__":
    app()
