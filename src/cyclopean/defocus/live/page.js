// The page of one picture that anybody refocuses by a click. Comes after live.js in one script.

const $ = id => document.getElementById(id);
const contents = JSON.parse($("scene").textContent);
const { size: [photoWidth, photoHeight], start } = contents;
const panorama = contents.meta.camera === "equirectangular";
const canvas = $("picture"), stage = $("stage");
const STILL = matchMedia("(prefers-reduced-motion: reduce)").matches;
const QUICK = 40, PULL = 260, SETTLE = 500;  // milliseconds: of a frame, of pulling focus, until a slow machine draws finely
const FINE = 3e6, SETTLED = 1e6, COARSE = 0.25e6;  // pixels: a quick machine's, a slow one's at rest, and while it is used
const state = { point: start.point, focus: start.focus, amount: start.amount, before: false, zoom: 0,
                centre: [0.5, 0.5], yaw: 0, pitch: 0, field: 1.4, frames: 0 };
window.cyclopean = state;  // for scripts and tests
const most = Math.max(4, 2 * start.amount);
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
let live, quick = false, pending = false, resting, pulling = null;

$("hint").textContent = panorama
  ? "Drag to look around, click or tap to focus; keys: arrows look, Enter focuses on the middle, + and − blur, Space shows the photo"
  : "Click, tap or drag to focus; keys: arrows move the focus, + and − blur, Space shows the photo, Z is 100 %";

// The part of the photo on the canvas, and the canvas's size in CSS pixels.
function layout() {
  const ratio = window.devicePixelRatio || 1, box = [stage.clientWidth, stage.clientHeight];
  if (panorama) return { box, ratio, view: { yaw: state.yaw, pitch: state.pitch, field: state.field } };
  const fit = Math.min(box[0] / photoWidth, box[1] / photoHeight), zoom = Math.max(fit, state.zoom);
  const drawn = [photoWidth * zoom, photoHeight * zoom], shown = drawn.map((side, k) => Math.max(1, Math.min(side, box[k])));
  const part = shown.map((side, k) => side / drawn[k]);
  state.centre = state.centre.map((place, k) => clamp(place, part[k] / 2, 1 - part[k] / 2));
  return { box: shown, ratio, fit, view: [state.centre[0] - part[0] / 2, state.centre[1] - part[1] / 2, ...part] };
}

function draw(pixels) {
  const { box, ratio, view } = layout();
  const scale = Math.min(ratio, Math.sqrt(pixels / (box[0] * box[1]))), sides = box.map(side => Math.max(1, Math.round(side * scale)));
  if (canvas.width !== sides[0] || canvas.height !== sides[1]) [canvas.width, canvas.height] = sides;
  [canvas.style.width, canvas.style.height] = box.map(side => `${side}px`);
  live.render({ ...start, focus: state.focus, amount: state.before ? 0 : state.amount, view });
  place();
  state.frames += 1;
}

// Draw soon: a slow machine coarsely first, finely when it is left alone.
function changed() {
  clearTimeout(resting);
  if (!quick) resting = setTimeout(() => draw(SETTLED), SETTLE);
  if (!pending) requestAnimationFrame(frame);
  pending = true;
}

function frame(time) {
  pending = false;
  if (pulling) {
    pulling.since ??= time;
    const part = clamp((time - pulling.since) / PULL, 0, 1), eased = part * part * (3 - 2 * part);
    state.focus = pulling.from + (pulling.to - pulling.from) * eased;
    if (part === 1) pulling = null;
  }
  draw(quick ? FINE : COARSE);
  if (pulling) changed();
}

// Put the mark on the point in focus.
function place() {
  const { box, view } = layout();
  $("mark").hidden = panorama;
  if (panorama) return;
  const left = (stage.clientWidth - box[0]) / 2, top = (stage.clientHeight - box[1]) / 2;
  $("mark").style.left = `${left + (state.point[0] - view[0]) / view[2] * box[0]}px`;
  $("mark").style.top = `${top + (state.point[1] - view[1]) / view[3] * box[1]}px`;
}

function focusOn(point, pull) {
  state.point = point.map(part => clamp(part, 0, 1 - 1e-6));
  const to = live.depthAt(...state.point);
  pulling = pull && quick && !STILL ? { from: state.focus, to } : null;
  if (!pulling) state.focus = to;
  $("mark").classList.add("seen");
  clearTimeout(focusOn.timer);
  focusOn.timer = setTimeout(() => $("mark").classList.remove("seen"), 700);
  $("said").textContent = `Sharp at ${Math.round(100 * state.point[0])} % from the left, ${Math.round(100 * state.point[1])} % from the top.`;
  changed();
}

function blur(amount) {
  state.amount = clamp(amount, 0, most);
  $("amount").value = Math.round(100 * state.amount / most);
  $("amount").setAttribute("aria-valuetext", `${state.amount.toFixed(1)} times the usual blur`);
  changed();
}

function showBefore(on) {
  if (state.before === on) return;
  state.before = on;
  $("before").setAttribute("aria-pressed", on);
  changed();
}

function zoomTo(zoom, around = state.point) {
  state.zoom = zoom;
  state.centre = [...around];
  $("zoom").setAttribute("aria-pressed", layout().fit < zoom);
  changed();
}

// One pixel of the photo per pixel of the screen, or all of the photo.
function toggleZoom() {
  zoomTo(state.zoom > layout().fit ? 0 : 1 / layout().ratio);
}

function slide(dx, dy) {
  const { box, view } = layout();
  if (panorama) {
    state.yaw -= dx / box[0] * state.field;
    state.pitch = clamp(state.pitch + dy / box[0] * state.field, -1.5, 1.5);
  } else state.centre = [state.centre[0] - dx / box[0] * view[2], state.centre[1] - dy / box[1] * view[3]];
  changed();
}

function under(event) {
  const box = canvas.getBoundingClientRect();
  return live.placeAt(clamp((event.clientX - box.left) / box.width, 0, 1), clamp((event.clientY - box.top) / box.height, 0, 1));
}

function pinch(factor, point) {
  if (panorama) state.field = clamp(state.field / factor, 0.3, 2);
  else {
    const { fit } = layout(), zoom = clamp(Math.max(state.zoom, fit) * factor, fit, Math.max(fit, 4));
    return zoomTo(zoom <= fit * 1.01 ? 0 : zoom, state.zoom > fit ? state.centre : point);
  }
  changed();
}

const fingers = new Map();
let moved = false;
canvas.addEventListener("pointerdown", event => {
  if (event.button) return;
  canvas.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, [event.clientX, event.clientY]);
  moved = fingers.size > 1;
});
canvas.addEventListener("pointermove", event => {
  const last = fingers.get(event.pointerId);
  if (!last) return;
  const now = [event.clientX, event.clientY], apart = [now[0] - last[0], now[1] - last[1]];
  const other = [...fingers].find(([id]) => id !== event.pointerId);
  if (!moved && Math.hypot(...apart) < 5) return;
  moved = true;
  fingers.set(event.pointerId, now);
  if (other) {
    const gap = place => Math.hypot(place[0] - other[1][0], place[1] - other[1][1]);
    pinch(clamp(gap(now) / Math.max(1, gap(last)), 0.8, 1.25), under(event));
  } else if (panorama || state.zoom > layout().fit) slide(...apart);
  else focusOn(under(event), false);
});
canvas.addEventListener("pointerup", event => {
  if (fingers.delete(event.pointerId) && !moved) focusOn(under(event), true);
});
canvas.addEventListener("pointercancel", event => fingers.delete(event.pointerId));
canvas.addEventListener("wheel", event => {
  event.preventDefault();
  pinch(Math.exp(-clamp(event.deltaY, -200, 200) / 600), under(event));
}, { passive: false });

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
canvas.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const arrow = ARROWS[event.key], step = event.shiftKey ? 0.1 : 0.02;
  if (arrow && panorama) slide(-arrow[0] * 60, -arrow[1] * 60);
  else if (arrow) {
    focusOn([state.point[0] + arrow[0] * step, state.point[1] + arrow[1] * step], false);
    if (state.zoom > layout().fit) state.centre = [...state.point];
  } else if (event.key === "Enter" && panorama) focusOn(live.placeAt(0.5, 0.5), true);
  else if (event.key === "+" || event.key === "=") blur(state.amount + most / 20);
  else if (event.key === "-") blur(state.amount - most / 20);
  else if (event.key === " ") showBefore(true);
  else if (event.key.toLowerCase() === "z" && !panorama) toggleZoom();
  else return;
  event.preventDefault();
});
for (const [where, keys] of [[canvas, [" "]], [$("before"), [" ", "Enter"]]]) {
  where.addEventListener("keyup", event => { if (keys.includes(event.key)) showBefore(false); });
  where.addEventListener("blur", () => showBefore(false));
}
$("before").addEventListener("keydown", event => {
  if (event.key === " " || event.key === "Enter") { event.preventDefault(); showBefore(true); }
});
$("before").addEventListener("pointerdown", event => { $("before").setPointerCapture(event.pointerId); showBefore(true); });
for (const end of ["pointerup", "pointercancel"]) $("before").addEventListener(end, () => showBefore(false));
$("before").addEventListener("contextmenu", event => event.preventDefault());
$("zoom").addEventListener("click", toggleZoom);
$("zoom").hidden = panorama;
$("amount").addEventListener("input", () => blur($("amount").value / 100 * most));
canvas.addEventListener("webglcontextlost", event => { event.preventDefault(); live = null; });
canvas.addEventListener("webglcontextrestored", () => begin().catch(fail));

function fail(error) {
  canvas.classList.remove("ready");
  $("trouble").textContent = `${error.message} This is the photo as it was taken.`;
}

async function begin() {
  await $("photo").decode();
  const depth = await decodeDepth(Uint8Array.from(atob(contents.depth), letter => letter.charCodeAt(0)));
  live = createLive(canvas, { photo: $("photo"), depth, meta: contents.meta });
  // How fast is this machine? The second frame tells; the first compiles.
  const gl = canvas.getContext("webgl2"), finish = () => gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  draw(COARSE);
  finish();
  const since = performance.now();
  draw(COARSE);
  finish();
  quick = performance.now() - since < QUICK;
  canvas.classList.add("ready");
  new ResizeObserver(changed).observe(stage);
  blur(state.amount);
}
begin().catch(fail);
