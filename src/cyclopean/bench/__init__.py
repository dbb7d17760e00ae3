"""Comparisons: many methods, the same network, data, steps and seeds; judged alike, written up as one page."""

from cyclopean.bench.family import Budget as Budget
from cyclopean.bench.family import Family as Family
from cyclopean.bench.family import Row as Row
from cyclopean.bench.report import write_report as write_report
from cyclopean.bench.running import Comparison as Comparison
from cyclopean.bench.tables import table as table
