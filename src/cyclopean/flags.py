"""Notes on how a field of options is given on the command line. Plain Python, for options that lie below the command
line.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Flag:
    """A note on a field: `Annotated[float, Flag("N", name="--ema-decay", hidden=("--average",))]`.

    A field without a note has its own name as flag (`batch_size`: --batch-size). Its type determines how it is read:
    `bool` takes no value, `tuple[float, float]` two, `tuple[Path, ...]` one word with a separator, `Literal` one of its
    names.
    """

    metavar: str = ""
    """What --help calls the value."""
    name: str = ""
    """The flag, where it is not the field's name."""
    aliases: tuple[str, ...] = ()
    """More names, which --help lists."""
    hidden: tuple[str, ...] = ()
    """Former names, which are taken and not listed."""
    positional: bool = False
    """A word without a flag; of `tuple[str, ...]` any number of them."""
    separator: str = ","
    """Between the parts of a tuple of any length."""
    folder: bool = False
    """A folder for results: one that cannot be written to is refused while the flags are read."""
    help: str = ""
    """Text of --help, where it is not what is written below the field."""
    default: str = ""
    """Text of --help on the default, where it is not its value."""
