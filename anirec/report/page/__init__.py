"""`anirec compare --html`: one page with tables and plots, that needs no network."""

from anirec.report.page.page import write_page

__all__ = ["write_page"]
