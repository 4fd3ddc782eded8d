"""Findings, charts, the weekly run and its pages."""

from cdp_lib.report.findings import Headline, note, show, show_table

__all__ = ["Headline", "note", "show", "show_table"]
