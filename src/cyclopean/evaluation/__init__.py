"""Judging depth against truth, beside trivial guesses, by a named protocol."""

from cyclopean.evaluation.measure import Alignment as Alignment
from cyclopean.evaluation.measure import Counts as Counts
from cyclopean.evaluation.measure import Measured as Measured
from cyclopean.evaluation.measure import Protocol as Protocol
from cyclopean.evaluation.measure import Row as Row
from cyclopean.evaluation.measure import evaluate as evaluate
from cyclopean.evaluation.measure import judge as judge
from cyclopean.evaluation.measure import summarise as summarise
from cyclopean.evaluation.models import candidate as candidate
from cyclopean.evaluation.tables import Result as Result
from cyclopean.evaluation.tables import as_json as as_json
from cyclopean.evaluation.tables import markdown as markdown
from cyclopean.evaluation.tables import text as text
from cyclopean.evaluation.trivial import Candidate as Candidate
from cyclopean.evaluation.trivial import Truths as Truths
from cyclopean.evaluation.trivial import guesses as guesses
from cyclopean.evaluation.trivial import leave_one_out as leave_one_out
from cyclopean.evaluation.trivial import load_mean as load_mean
from cyclopean.evaluation.trivial import mean_inverse_depth as mean_inverse_depth
from cyclopean.evaluation.trivial import save_mean as save_mean
from cyclopean.evaluation.trivial import training_mean as training_mean
