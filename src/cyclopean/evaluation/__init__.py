"""Evaluate depth against ground truth by a named protocol, beside trivial guesses; without truth, by view synthesis."""
