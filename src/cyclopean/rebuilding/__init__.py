"""One view rebuilt from others: head x warp x error x mask x scales x smoothness, each a value out of one dictionary.

Methods compose them; a paper is a choice of them (`rules.py`), and `cyclopean train` shows every choice as a flag.
"""
