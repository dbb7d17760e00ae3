"""The queues of the page's events."""

from typing import Any

import gradio as gr

from cyclopean.app.handlers import PageUpdate

HEAVY, LIGHT = 1, 2  # photos that are read at a time, previews that are made at a time

PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
# Photos, clips and files at full size: one after the other, since each may take a gigabyte.
WORK: dict[str, Any] = PRIVATE | {"concurrency_id": "heavy", "concurrency_limit": HEAVY}
ARRIVAL: dict[str, Any] = WORK | {"trigger_mode": "always_last"}  # another file may come while one is opened
# Clips take minutes: one at a time, and photos need not wait for them.
FILM: dict[str, Any] = PRIVATE | {"concurrency_id": "film", "concurrency_limit": 1}
# Other moments of a clip, which is read up to there: one at a time, and clicks need not wait for them.
MOMENT: dict[str, Any] = PRIVATE | {"concurrency_id": "moment", "concurrency_limit": 1, "trigger_mode": "always_last"}
# Previews: of what one visitor asks for while one is made, only the last is made.
LOOK: dict[str, Any] = PRIVATE | {
    "concurrency_id": "light", "concurrency_limit": LIGHT, "trigger_mode": "always_last",
}  # fmt: skip
# What costs nothing waits for nobody. (Not `queue=False`: those answers come by an address that the guard keeps shut.)
ASIDE: dict[str, Any] = PRIVATE | {"concurrency_id": "aside", "concurrency_limit": None, "trigger_mode": "always_last"}

IDLE = """() => document.querySelectorAll('.cy-stage').forEach((stage) =>
  stage.parentElement.dispatchEvent(new Event('cy-idle')))"""


def undone(event: Any) -> None:
    """Let the page stop waiting when an event did not even begin (the queue is full); Gradio shows why."""
    event.failure(None, None, None, js=IDLE, **PRIVATE)


def stage(kind: str, html: str, script: str) -> gr.HTML:
    """Build a stage for photos, panoramas or clips."""
    word = {"video": "clip", "panorama": "panorama"}.get(kind, "photo")
    return gr.HTML(
        {}, html_template=html.replace("@@kind@@", kind).replace("@@word@@", word), js_on_load=script,
        elem_id=f"stage-{kind}", apply_default_css=False,
    )  # fmt: skip


def panel(value: PageUpdate, when: tuple[str, ...]) -> Any:
    """Return the visibility of a panel with this stage; unchanged if the stage has none."""
    return gr.update(visible=value["stage"] in when) if "stage" in value else gr.skip()
