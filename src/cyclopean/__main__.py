"""`python -m cyclopean`: the command line."""

from cyclopean.cli import main

main()
