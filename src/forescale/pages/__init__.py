"""The report: results as one self-contained HTML page, and the same in Markdown.

Sections are values (``contents``), made by one file for each group of them from what is asked (``question``), and
written by ``html`` or ``markdown``.
"""

from forescale.pages.made import Report, report, usual_budgets

__all__ = ["Report", "report", "usual_budgets"]
