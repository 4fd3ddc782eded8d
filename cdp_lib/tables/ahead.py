"""A table that DuckDB fills while Python plans what will be asked of it."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count

import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis.backends import BaseBackend

_numbers = count()


@dataclass(frozen=True)
class Ahead:
    """A table that may still be filling, and the one thread that asks its connection anything."""

    table: ir.Table
    con: BaseBackend
    thread: ThreadPoolExecutor
    asked: list[Future]  # the filling first

    def planned(self, query: ir.Expr) -> Callable[[], Future]:
        """The query, planned now; called, it gives its rows (a DataFrame) once the table is full.

        What is asked for is run in that order.
        """
        return partial(self._ask, query, self.con.compile(query))

    def _ask(self, query: ir.Expr, sql: str) -> Future:
        self.asked.append(self.thread.submit(self._run, query, sql))
        return self.asked[-1]

    def _run(self, query: ir.Expr, sql: str) -> pd.DataFrame:
        self.asked[0].result()
        # Ibis does so too before it runs a query: tables from memory and functions are made known.
        self.con._run_pre_execute_hooks(query)
        return self.con.raw_sql(sql).df()

    def stop(self) -> None:
        """End what runs and forget what waits."""
        for future in self.asked:
            future.cancel()
        # What has just been handed over may not run yet, and would miss a single call.
        while wait(self.asked, timeout=0.05).not_done:
            self.con.con.interrupt()


@contextmanager
def filling(rows: ir.Table) -> Iterator[Ahead]:
    """The rows as a temporary table of DuckDB's, given before it is full.

    Inside, the connection may be asked by way of `Ahead.planned` alone. The table is dropped at
    the end; an error stops what still runs.
    """
    con = ibis.get_backend(rows)
    name = f"ahead_{next(_numbers)}"
    con._run_pre_execute_hooks(rows)
    filled = f"CREATE TEMPORARY TABLE {name} AS {con.compile(rows)}"
    # Not yet there, so it is known by its columns alone.
    table = ibis.table(rows.schema(), name)
    with ThreadPoolExecutor(1) as thread:
        ahead = Ahead(table, con, thread, [thread.submit(con.raw_sql, filled)])
        try:
            yield ahead
        except BaseException:
            ahead.stop()
            raise
        finally:
            wait(ahead.asked)
            con.raw_sql(f"DROP TABLE IF EXISTS {name}")
