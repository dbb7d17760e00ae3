"""The first tab: choose a photo, look at its depth, say what shall be sharp, save."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr

from cyclopean.app import handlers
from cyclopean.app.handlers import AppState, PageUpdate
from cyclopean.app.queue import ARRIVAL, LOOK, WORK, panel, undone
from cyclopean.app.service import FORMATS, RefocusSettings
from cyclopean.defocus.filters import METHODS, THIN_LENS

STEPS = {"choose": "Photo", "depth": "Depth", "focus": "Focus", "save": "Save"}
SHAPES = {"Disc": "disc", "Ring": "ring", "Hexagon": "polygon:6", "Octagon": "polygon:8", "Cat's eye": "cateye"}
KINDS = {"Thin lens": THIN_LENS, **{name.capitalize(): name for name in METHODS}}

Outputs = tuple[Any, ...]


@dataclass(frozen=True)
class Panel:
    """What stands beside the photo, step by step."""

    depth: gr.Column
    focus: gr.Column
    save: gr.Column
    undo: gr.Button
    controls: list[Any]

    @property
    def parts(self) -> list[Any]:
        """Parts of the panel in the order of `shown`."""
        return [self.depth, self.focus, self.save, self.undo]


def shown(value: PageUpdate) -> Outputs:
    """Return a stage's value, and the panel that goes with it."""
    undo = gr.update(interactive=value["undo"]) if "undo" in value else gr.skip()
    return value, *(panel(value, (step,)) for step in ("depth", "focus", "save")), undo


def look(amount: float, shape: str, sharp: float, highlights: float, method: str) -> RefocusSettings:
    """Return the settings of the controls."""
    return RefocusSettings(amount, SHAPES[shape], sharp, highlights, KINDS[method])


def settings(state: AppState, token: str) -> list[Any]:
    """Return the controls as in the last request; untouched without one."""
    session = state.store.get(token or "")
    if session is None or not session.history:
        return [gr.skip()] * 5
    last = session.history[-1][1].settings
    shape = next(name for name, value in SHAPES.items() if value == last.shape)
    method = next(name for name, value in KINDS.items() if value == last.method)
    return [last.amount, shape, last.range, last.highlights, method]


def controls() -> list[Any]:
    """Build the controls of the blur, in the order of `look`."""
    return [
        gr.Slider(0, 4, 1, step=0.05, label="Amount of blur", elem_id="amount", buttons=[]),
        gr.Dropdown(list(SHAPES), value="Disc", label="Shape of the blur", elem_id="shape", filterable=False),
        gr.Slider(0, 0.5, 0, step=0.01, label="Range that stays sharp", elem_id="range", buttons=[]),
        gr.Slider(0, 4, 0, step=0.1, label="Glow of highlights", elem_id="highlights", buttons=[]),
        gr.Dropdown(list(KINDS), value="Thin lens", label="Method", elem_id="method", filterable=False),
    ]


def build(state: AppState, session: gr.Textbox, stage: gr.HTML) -> Panel:
    """Build the panels beside `stage`, and bind the events."""
    with gr.Column(visible=False, elem_id="panel-depth") as depth:
        gr.Markdown("#### Depth\nHow far everything is, estimated from this one photo.")
        on = gr.Button("Next: focus", variant="primary", elem_id="next-focus")
        keep_depth = gr.Button("Save the depth", elem_id="save-depth")
        gr.Markdown("As a picture (PNG), as numbers (NPY), and a note that says what they mean (JSON).")
        back_to_photo = gr.Button("Another photo", elem_id="another")
    with gr.Column(visible=False, elem_id="panel-focus") as focus:
        knobs = controls()
        with gr.Row():
            undo = gr.Button("Undo", interactive=False, elem_id="undo", min_width=90)
            back_to_depth = gr.Button("Back", elem_id="back-depth", min_width=90)
        on_to_save = gr.Button("Next: save", variant="primary", elem_id="next-save")
    with gr.Column(visible=False, elem_id="panel-save") as save:
        gr.Markdown("#### Save\nThe photo at its full size, with its own metadata and colour profile.")
        kept = gr.Dropdown(list(FORMATS), value="PNG", label="As", elem_id="kept", filterable=False)
        keep_photo = gr.Button("Save the photo", variant="primary", elem_id="save-photo")
        back_to_focus = gr.Button("Back", elem_id="back-focus")
        start_again = gr.Button("Another photo", elem_id="another-end")
    beside = Panel(depth, focus, save, undo, knobs)
    _listen(state, session, stage, beside)
    for button, step in (
        *((on, "focus"), (on_to_save, "save"), (back_to_photo, "choose"), (start_again, "choose")),
        *((back_to_depth, "depth"), (back_to_focus, "focus")),
    ):
        undone(button.click(_going(state, step), session, [stage, *beside.parts], **LOOK))
    undone(keep_depth.click(lambda who: handlers.save_depth(state, who), session, stage, **WORK))
    undone(keep_photo.click(lambda who, name: handlers.save_photo(state, who, name), [session, kept], stage, **WORK))
    return beside


def _listen(state: AppState, session: gr.Textbox, stage: gr.HTML, beside: Panel) -> None:
    """Return the values of the stage and the controls."""

    def arrived(who: str) -> Outputs:
        return *shown(handlers.open_photo(state, who)), *settings(state, who)

    def example(who: str, event: gr.EventData) -> Outputs:
        taken = handlers.take_example(state, who, int(event.number))
        return *shown(taken if "error" in taken else handlers.open_photo(state, who)), *settings(state, who)

    def pointed(  # noqa: PLR0917  (Gradio passes one argument for each control)
        who: str, amount: float, shape: str, sharp: float, highlights: float, method: str,
        event: gr.EventData,
    ) -> Outputs:  # fmt: skip
        at = (float(event.x), float(event.y))
        return shown(handlers.focus(state, who, at, look(amount, shape, sharp, highlights, method), "point"))

    def undo(who: str) -> Outputs:
        value = handlers.undo(state, who)
        return *shown(value), *([gr.skip()] * 5 if "error" in value else settings(state, who))

    def going(who: str, event: gr.EventData) -> Outputs:
        return shown(handlers.go_to(state, who, str(event.step)))

    out = [stage, *beside.parts]
    undone(stage.arrived(arrived, session, [*out, *beside.controls], **ARRIVAL))
    undone(stage.example(example, session, [*out, *beside.controls], **ARRIVAL))
    undone(stage.point(pointed, [session, *beside.controls], out, **LOOK))
    undone(stage.go(going, session, out, **LOOK))
    undone(beside.undo.click(undo, session, [*out, *beside.controls], **LOOK))
    for control in beside.controls:
        change = _changing(state, control.elem_id)
        undone(control.input(change, [session, *beside.controls], out, **LOOK))


def _changing(state: AppState, why: str) -> Callable[..., Outputs]:
    def change(who: str, *values: Any) -> Outputs:
        return shown(handlers.focus(state, who, None, look(*values), why))

    return change


def _going(state: AppState, step: str) -> Callable[[str], Outputs]:
    return lambda who: shown(handlers.go_to(state, who, step))
