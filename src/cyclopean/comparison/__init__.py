"""Comparisons: many methods, the same network, data, steps and seeds; judged alike, written up as one page."""

from cyclopean.comparison.family import Budget as Budget
from cyclopean.comparison.family import Family as Family
from cyclopean.comparison.family import Row as Row
from cyclopean.comparison.report import write_report as write_report
from cyclopean.comparison.running import Comparison as Comparison
from cyclopean.comparison.tables import table as table
