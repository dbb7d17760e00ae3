"""What Gradio shows: tabs, each with a stage and a panel beside it."""

import html
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from cyclopean.app import handlers, other_tabs, photo_tab
from cyclopean.app.handlers import AppState, PageUpdate
from cyclopean.app.queue import ASIDE, LIGHT, PRIVATE, stage

HERE = Path(__file__).parent
TABS = ("photo", "video", "panorama")  # each with pictures of its own; metres are measured in the photo


def build(state: AppState, warnings: list[str], *, remote: bool) -> gr.Blocks:
    """Build the page. `warnings` stand on top of it; `remote`: others than this computer can open it."""
    with gr.Blocks(title="cyclopean", analytics_enabled=False) as page:
        sessions = {name: gr.Textbox(visible=False) for name in TABS}
        notes = "".join(f'<p class="cy-warn">{html.escape(text)}</p>' for text in warnings)
        about = "<h1>cyclopean</h1><p>Drop a photo, click to set the focus, save the result.</p>"
        gr.HTML(about + notes, elem_classes="cy-head")
        if len(state.models) > 1:
            names = list(state.models)
            about_models = "Model, for what you open next"
            choice = gr.Dropdown(names, value=names[0], label=about_models, elem_id="model", filterable=False)
            choose = partial(handlers.choose_model, state)
            tokens = [sessions[name] for name in TABS]
            choice.input(lambda *values: choose(values[:-1], values[-1]), [*tokens, choice], None, **ASIDE)
        with gr.Tabs():
            with gr.Tab("Photo"), gr.Row(elem_classes="cy-work"):
                stages = {"photo": _stage("photo")}
                with gr.Column(scale=3, min_width=260):
                    panel = photo_tab.build(state, sessions["photo"], stages["photo"])
            with gr.Tab("Video"), gr.Row(elem_classes="cy-work"):
                stages["video"] = _stage("video")
                with gr.Column(scale=3, min_width=260):
                    other_tabs.build_video(state, sessions["video"], stages["video"])
            with gr.Tab("Panorama"), gr.Row(elem_classes="cy-work"):
                stages["panorama"] = _stage("panorama")
                with gr.Column(scale=3, min_width=260):
                    other_tabs.build_panorama(state, sessions["panorama"], stages["panorama"])
            with gr.Tab("Metres") as metres, gr.Row(elem_classes="cy-work"):
                stages["measure"] = _stage("measure")
                with gr.Column(scale=3, min_width=260):
                    both = (stages["photo"], panel.parts)
                    other_tabs.build_metres(state, sessions["photo"], stages["measure"], both, metres)
            with gr.Tab("Help"):
                gr.Markdown((HERE / "help.md").read_text(), elem_classes="cy-text")
            with gr.Tab("About"):
                gr.Markdown((HERE / "about.md").read_text(), elem_classes="cy-text")
        page.load(_start(state, remote), None, [*sessions.values(), *stages.values()], **PRIVATE)
    page.queue(max_size=state.store.limits.waiting, api_open=False, default_concurrency_limit=LIGHT)
    return page


def _stage(kind: str) -> gr.HTML:
    with gr.Column(scale=7, min_width=320):
        return stage(kind, (HERE / "stage.html").read_text(), (HERE / "stage.js").read_text())


def _start(state: AppState, remote: bool) -> Any:
    """Return what opens sessions for a visitor, with what their stages need."""

    def start() -> list[str | PageUpdate]:
        limits = state.store.limits
        known = {"stage": "choose", "megabytes": limits.megabytes, "megapixels": limits.megapixels, "remote": remote}
        tokens = [state.store.open().token for _ in TABS]
        photo, video, panorama = ({**known, "token": token} for token in tokens)
        first = {
            "examples": [example.title for example in state.examples],
            "steps": photo_tab.STEPS,
            "all": tokens,
        }
        return [*tokens, {**photo, **first}, video, panorama, photo]

    return start


def theme() -> gr.themes.Base:
    """Return a quiet theme with the fonts of the machine: nothing is fetched."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal, neutral_hue=gr.themes.colors.stone,
        font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"],
    )  # fmt: skip


def style() -> str:
    return (HERE / "style.css").read_text()
