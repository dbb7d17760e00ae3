"""What Gradio shows: the stage with its photo, beside it one panel per step, and the tabs around them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from cyclopean.app import handlers
from cyclopean.app.developing import KEPT, Look
from cyclopean.app.handlers import Stage, Studio
from cyclopean.app.session import Session
from cyclopean.errors import InputError
from cyclopean.refocus import METHODS, THIN_LENS

HERE = Path(__file__).parent
STEPS = ("choose", "depth", "focus")
NAMES = ("1 Photo", "2 Depth", "3 Focus and save")
SHAPES = {"Disc": "disc", "Ring": "ring", "Hexagon": "polygon:6", "Octagon": "polygon:8", "Cat's eye": "cateye"}
KINDS = {"Thin lens": THIN_LENS, **{name.capitalize(): name for name in METHODS}}
HEAVY, LIGHT = 1, 2  # how many photos are read at a time, and how many previews are made


def build(studio: Studio, warnings: list[str]) -> gr.Blocks:
    """The page. `warnings` stand on top of it."""
    with gr.Blocks(title="cyclopean", analytics_enabled=False, fill_width=True) as page:
        session = gr.State(None, delete_callback=studio.store.close)
        gr.HTML(_header(warnings), elem_classes="cy-head")
        with gr.Tabs():
            with gr.Tab("Photo"):
                _photo_tab(page, studio, session)
            with gr.Tab("Help"):
                gr.Markdown((HERE / "help.md").read_text())
            with gr.Tab("About"):
                gr.Markdown((HERE / "about.md").read_text())
    page.queue(max_size=studio.store.limits.waiting, api_open=False, default_concurrency_limit=LIGHT)
    return page


def theme() -> gr.themes.Base:
    """Quiet, and with the fonts of the machine: nothing is fetched."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal, neutral_hue=gr.themes.colors.stone,
        font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"],
    )  # fmt: skip


def style() -> str:
    return (HERE / "style.css").read_text()


def _header(warnings: list[str]) -> str:
    notes = "".join(f'<p class="cy-warn">{text}</p>' for text in warnings)
    return f"<h1>cyclopean</h1><p>Drop a photo, click what shall be sharp, keep the result.</p>{notes}"


def _photo_tab(page: gr.Blocks, studio: Studio, session: gr.State) -> None:
    with gr.Row():
        with gr.Column(scale=7, min_width=320):
            stage = gr.HTML(
                {}, html_template=(HERE / "stage.html").read_text(), js_on_load=(HERE / "stage.js").read_text(),
                elem_id="stage", apply_default_css=False,
            )  # fmt: skip
        with gr.Column(scale=3, min_width=280, visible=False, elem_id="panel") as panel:
            another = gr.Button("Another photo", size="sm", elem_id="another")
            keep_depth = gr.Button("Save the depth", size="sm", elem_id="save-depth")
            controls = _controls()
            back = gr.Button("Undo", interactive=False, elem_id="undo")
            kept = gr.Dropdown(list(KEPT), value="PNG", label="Save as", elem_id="kept")
            save = gr.Button("Save the photo", variant="primary", elem_id="save-photo")

    def start(request: gr.Request) -> tuple[Session | None, Stage]:
        del request
        limits = studio.store.limits
        try:
            new = studio.store.open()
        except InputError as error:
            return None, {"stage": "choose", "error": handlers.said(error, None)}
        titles = [example.title for example in studio.examples]
        return new, {
            "stage": "choose", "token": new.token, "examples": titles,
            "megabytes": limits.megabytes, "megapixels": limits.megapixels,
        }  # fmt: skip

    def shown(value: Stage) -> tuple[Any, ...]:
        """The stage, and the panel beside it when there is a photo."""
        there = {"choose": False, "depth": True, "focus": True}.get(value.get("stage", ""))
        undo = gr.update(interactive=value["undo"]) if "undo" in value else gr.skip()
        return value, gr.skip() if there is None else gr.update(visible=there), undo

    def look(*values: Any) -> Look:
        amount, shape, sharp, highlights, method = values
        return Look(amount, SHAPES[shape], sharp, highlights, KINDS[method])

    def arrived(who: Session | None) -> tuple[Any, ...]:
        return shown(handlers.develop(studio, who))

    def example(who: Session | None, event: gr.EventData) -> tuple[Any, ...]:
        taken = handlers.take_example(studio, who, int(event.number))
        return shown(taken if "error" in taken else handlers.develop(studio, who))

    def pointed(who: Session | None, a: Any, b: Any, c: Any, d: Any, e: Any, event: gr.EventData) -> tuple[Any, ...]:
        return shown(handlers.focus(studio, who, (float(event.x), float(event.y)), look(a, b, c, d, e), "point"))

    def changed(why: str) -> Callable[..., tuple[Any, ...]]:
        def change(who: Session | None, *values: Any) -> tuple[Any, ...]:
            return shown(handlers.focus(studio, who, None, look(*values), why))

        return change

    def undone(who: Session | None) -> tuple[Any, ...]:
        value = handlers.undo(studio, who)
        return *shown(value), *(_values(who) if who is not None and "error" not in value else [gr.skip()] * 5)

    heavy: dict[str, Any] = {"concurrency_id": "heavy", "concurrency_limit": HEAVY, "show_progress": "hidden"}
    light: dict[str, Any] = {
        "concurrency_id": "light", "concurrency_limit": LIGHT, "show_progress": "hidden", "trigger_mode": "always_last",
    }  # fmt: skip
    hidden: dict[str, Any] = {"api_visibility": "private"}
    out = [stage, panel, back]
    page.load(start, None, [session, stage], show_progress="hidden", **hidden)
    stage.arrived(arrived, session, out, **heavy, **hidden)
    stage.example(example, session, out, **heavy, **hidden)
    stage.point(pointed, [session, *controls], out, **light, **hidden)
    for control in controls:
        listen = control.input
        listen(changed(control.elem_id), [session, *controls], out, **light, **hidden)
    back.click(undone, session, [*out, *controls], **light, **hidden)
    keep_depth.click(lambda who: handlers.save_depth(studio, who), session, stage, **heavy, **hidden)
    save.click(lambda who, name: handlers.save_photo(studio, who, name), [session, kept], stage, **heavy, **hidden)
    another.click(lambda who: shown(handlers.start_over(studio, who)), session, out, **light, **hidden)


def _values(who: Session) -> list[Any]:
    """The controls as the last shot has them."""
    look = who.shots[-1][1].look
    shape = next(name for name, value in SHAPES.items() if value == look.shape)
    method = next(name for name, value in KINDS.items() if value == look.method)
    return [look.amount, shape, look.range, look.highlights, method]


def _controls() -> list[Any]:
    return [
        gr.Slider(0, 4, 1, step=0.05, label="Amount of blur", elem_id="amount"),
        gr.Dropdown(list(SHAPES), value="Disc", label="Shape", elem_id="shape"),
        gr.Slider(0, 0.5, 0, step=0.01, label="Range that stays sharp", elem_id="range"),
        gr.Slider(0, 4, 0, step=0.1, label="Highlights", elem_id="highlights"),
        gr.Dropdown(list(KINDS), value="Thin lens", label="Method", elem_id="method"),
    ]
