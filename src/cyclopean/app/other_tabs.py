"""The tabs for clips, panoramas and metres."""

import math
from collections.abc import Iterator
from typing import Any

import gradio as gr

from cyclopean.app import calibration, handlers, video
from cyclopean.app.handlers import AppState, PageUpdate
from cyclopean.app.photo_tab import Outputs, controls, look, shown
from cyclopean.app.queue import ARRIVAL, ASIDE, FILM, LOOK, MOMENT, WORK, panel, undone


def build_video(state: AppState, session: gr.Textbox, stage: gr.HTML) -> None:
    """Build the tab of clips: points in time, one look, the clip refocused."""
    with gr.Column(visible=False, elem_id="panel-video") as beside:
        seconds = gr.Slider(0, 1, 0, step=0.1, label="Moment (s)", elem_id="moment", buttons=[])
        gr.Markdown("Click what shall be sharp. Points at several moments pull the focus from one to the next.")
        follow = gr.Checkbox(True, label="Follow each point as it moves", elem_id="follow")
        knobs = controls()
        start = gr.Button("Refocus the clip", variant="primary", elem_id="film")
        with gr.Row():
            stop = gr.Button("Stop", elem_id="stop", min_width=90)
            clear = gr.Button("Clear points", elem_id="forget", min_width=90)
        another = gr.Button("Another clip", elem_id="another-clip")
    knobs[-1].visible = False  # clips go through the thin lens

    def arrived(who: str) -> Outputs:
        value = video.open_clip(state, who)
        last = value.pop("seconds", 1.0)
        return value, panel(value, ("focus",)), gr.update(maximum=max(math.ceil(10 * last) / 10, 0.1), value=0)

    def pointed(who: str, time: float, event: gr.EventData) -> PageUpdate:
        return video.key(state, who, (float(event.x), float(event.y)), time)

    def filmed(who: str, follows: bool, *values: Any) -> Iterator[PageUpdate]:
        yield from video.refocus(state, who, look(*values), follows)

    undone(stage.arrived(arrived, session, [stage, beside, seconds], **ARRIVAL))
    undone(stage.point(pointed, [session, seconds], stage, **LOOK))
    undone(seconds.input(lambda who, time: video.moment(state, who, time), [session, seconds], stage, **MOMENT))
    waiting = start.click(lambda who: video.wait(state, who), session, stage, **ASIDE)
    undone(waiting)
    undone(waiting.success(filmed, [session, follow, *knobs], stage, **FILM))
    undone(clear.click(lambda who: video.clear_keys(state, who), session, stage, **LOOK))
    stop.click(lambda who: video.stop(state, who), session, None, **ASIDE)
    again = another.click(lambda who: _again(state, who), session, [stage, beside], **LOOK)
    undone(again)


def build_panorama(state: AppState, session: gr.Textbox, stage: gr.HTML) -> None:
    """Build the panorama tab: depth all around, and a view to move in."""
    with gr.Column(visible=False, elem_id="panel-panorama") as beside:
        gr.Markdown("#### All around\nDepth of a panorama is the distance from the camera, in every direction.")
        save = gr.Button("Save depth and points", variant="primary", elem_id="save-panorama")
        gr.Markdown("PNG, NPY and JSON at full size, and a point cloud (PLY) for 3-D programs.")
        another = gr.Button("Another panorama", elem_id="another-panorama")

    def arrived(who: str) -> Outputs:
        value = calibration.open_panorama(state, who)
        return value, panel(value, ("depth",))

    undone(stage.arrived(arrived, session, [stage, beside], **ARRIVAL))
    undone(save.click(lambda who: calibration.save_panorama(state, who), session, stage, **WORK))
    again = another.click(lambda who: _again(state, who), session, [stage, beside], **LOOK)
    undone(again)


def build_metres(
    state: AppState, session: gr.Textbox, stage: gr.HTML, photo: tuple[gr.HTML, list[Any]], tab: gr.Tab
) -> None:
    """Build the calibration of the photo in the first tab, whose stage and panels are `photo`."""
    with gr.Column(elem_id="panel-measure"):
        gr.Markdown("#### By two points\nClick both ends of something whose length you know.")
        distance = gr.Number(1.0, label="Distance between them (m)", elem_id="distance", minimum=0)
        by_points = gr.Button("Use this distance", variant="primary", elem_id="use-distance")
        gr.Markdown("#### Or by the camera's height\nFor photos that show level ground in their lower half.")
        height = gr.Number(1.6, label="Height above the ground (m)", elem_id="height", minimum=0)
        by_camera = gr.Button("Use this height", elem_id="use-height")
        gr.Markdown("#### Or by two distances\nFor models that leave more unknown than a scale. Click two points.")
        first = gr.Number(1.0, label="From the camera to the first (m)", elem_id="first-distance", minimum=0)
        second = gr.Number(3.0, label="From the camera to the second (m)", elem_id="second-distance", minimum=0)
        by_distances = gr.Button("Use these distances", elem_id="use-distances")

    def measured(who: str, event: gr.EventData) -> PageUpdate:
        points = [(float(x), float(y)) for x, y in list(event.points)[-2:]]
        return calibration.measure(state, who, points)

    def arrived(who: str) -> Outputs:
        value = handlers.open_photo(state, who)
        if "error" in value or value is handlers.UNCHANGED:
            return value, *[gr.skip()] * (1 + len(photo[1]))
        return calibration.photo_again(state, who), *shown(value)

    undone(tab.select(lambda who: calibration.photo_again(state, who), session, stage, **LOOK))
    undone(stage.arrived(arrived, session, [stage, photo[0], *photo[1]], **ARRIVAL))
    undone(stage.measured(measured, session, stage, **ASIDE))
    undone(by_points.click(lambda who, m: calibration.set_distance(state, who, m), [session, distance], stage, **LOOK))
    apart = [session, first, second]
    undone(by_distances.click(lambda who, a, b: calibration.set_distances(state, who, a, b), apart, stage, **LOOK))
    undone(by_camera.click(lambda who, m: calibration.set_height(state, who, m), [session, height], stage, **LOOK))


def _again(state: AppState, who: str) -> Outputs:
    value = handlers.go_to(state, who, "choose")
    return value, panel(value, ("focus", "depth"))
