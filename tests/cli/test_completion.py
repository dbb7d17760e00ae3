"""Scripts for shells: every command, flag and value of our parser, completed by the shells that are here."""

import shutil
import subprocess

import pytest
from test_flags import KINDS, kind_of

from commands import here
from cyclopean.cli import COMMANDS
from cyclopean.cli.completion import SHELLS, flags, kinds


def script(capsys, shell: str, tmp_path) -> str:
    code, out, err = here(capsys, "completion", shell)
    assert (code, err) == (0, "")
    path = tmp_path / shell
    path.write_text(out)
    return str(path)


def test_every_command_with_flags_is_known():
    made = kinds()
    assert {command: kind_of(command) for command in KINDS}.items() <= made.items()
    assert set(COMMANDS) - {"train", "bench"} <= set(made)
    for command in KINDS:
        names = {name for names, _, _ in flags(made[command]) for name in names}
        assert {"--help", "-v", "-q", "--output"} < names, command


def test_bash_completes_commands_families_flags_and_values(capsys, tmp_path):
    path = script(capsys, "bash", tmp_path)
    cases = {
        "pre": {"predict"},
        "": {*COMMANDS, "--help", "--version"},
        "predict --ov": {"--overwrite"},
        "predict --output ": {"text", "json"},
        "predict --output j": {"json"},
        "train mono": {"monodepth", "monodepth2"},
        "train monodepth --preci": {"--precision"},
        "train monodepth --precision b": {"bfloat16"},
        "label --planes ": {"cube", "tangent"},
        "doctor --out": {"--output"},
        "render --out": {"--output"},
        "predict pho": set(),
        "bench lens --he": {"--help"},
    }
    lines = ["shopt -u nullglob", f"source {path}"]
    for words in cases:
        parts = f"cyclopean {words}".split(" ")
        array = " ".join(f"'{part}'" for part in parts)
        lines.append(f'COMP_WORDS=({array}); COMP_CWORD={len(parts) - 1}; _cyclopean; echo "=${{COMPREPLY[*]}}"')
    done = subprocess.run(["bash", "-u", "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    for (words, wanted), line in zip(cases.items(), done.stdout.splitlines(), strict=True):
        assert set(line[1:].split()) == wanted, words


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_read_their_script(capsys, tmp_path, shell):
    path = script(capsys, shell, tmp_path)
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    if shell == "zsh":
        code = f"source {path} 2>&1; whence _cyclopean; print ${{_comps[cyclopean]}}"
        done = subprocess.run(["zsh", "-f", "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
        assert done.stdout.splitlines()[0] == "_cyclopean"
        assert "_cyclopean" in done.stdout.splitlines()[1]
        return
    for words, wanted in {
        "cyclopean pre": {"predict"},
        "cyclopean predict --ov": {"--overwrite"},
        "cyclopean predict --output ": {"text", "json"},
        "cyclopean train monodepth --precision b": {"bfloat16"},
        "cyclopean train mono": {"monodepth", "monodepth2"},
    }.items():
        code = f"source {path}; complete -C '{words}'"
        done = subprocess.run(["fish", "--no-config", "-c", code], capture_output=True, text=True, check=True)
        assert {line.split("\t")[0] for line in done.stdout.splitlines()} == wanted, words


def test_shells_that_are_none_are_refused(capsys):
    for words, said in ((["bahs"], "did you mean 'bash'?"), ([], f"choose one of {', '.join(SHELLS)}")):
        code, out, err = here(capsys, "completion", *words)
        assert (code, out, said in err) == (2, "", True)
