"""The papers' tables as commands: many methods, the same network, data, steps and seeds, judged alike."""
