"""Comparisons: many methods, the same network, data, steps and seeds; judged alike, written up as one page."""

from cyclopean.comparison.report import write_report as write_report
from cyclopean.comparison.rows import ROWS as ROWS
from cyclopean.comparison.rows import Row as Row
from cyclopean.comparison.running import BUDGETS as BUDGETS
from cyclopean.comparison.running import Budget as Budget
from cyclopean.comparison.running import Comparison as Comparison
