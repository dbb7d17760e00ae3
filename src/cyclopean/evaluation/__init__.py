"""Judge depth against truth, beside trivial guesses, by a named protocol; without truth, by pictures."""
