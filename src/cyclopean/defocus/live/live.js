// Refocus a photo by its depth under the pointer: a thin lens in one WebGL 2 shader. No dependency, no request.
//
// The optics are those of cyclopean.defocus.lens; the blur gathers what cyclopean.defocus.layers scatters: every sample
// within reach counts if its own disc covers this pixel, surfaces nearer than this pixel lie over it, and what is
// farther fills what is left open behind a blurred edge. Light is linear. docs/refocus.md has the interface.

const SAMPLES = 60;  // of the gather; beside them a pixel fetches its depth, its light, and how far foreground reaches
const PART = 0.012, WIDEST = 0.1, LONGEST = 6;  // as in lens.py
const RING = 0.7, TILT = 1.1, BRIGHT = 0.7;  // as in lens.py and thinlens.py
const WHITE = 65535;  // of 16 bits
const BLOCKS = 48;  // along the longer side: nearest depth of each, to know how far blur reaches
const STEP = 0.04;  // of the range of depth: a step between neighbours is an edge
const MOST = 16e6, BLURRED = 2e6;  // pixels of the photo that the graphics card holds, and of the copy to be blurred
const SPIRAL = Float32Array.from({ length: 3 * SAMPLES }, (_, n) => {  // by the golden angle
  const k = Math.floor(n / 3), radius = Math.sqrt(k + 0.5), angle = k * Math.PI * (3 - Math.sqrt(5));
  return [radius * Math.cos(angle), radius * Math.sin(angle), radius][n % 3];
});
const KINDS = { disc: 0, ring: 1, polygon: 2, cateye: 3 };

const SCREEN = `#version 300 es
out vec2 at;
void main() {
  at = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 2.0;
  gl_Position = vec4(2.0 * at - 1.0, 0.0, 1.0);
}`;

const HEAD = `#version 300 es
precision highp float;
precision highp sampler2D;
in vec2 at;
out vec4 result;
`;

// The photo's light with its depth: depth of another size takes the mean of those around that look like the pixel.
const JOIN = HEAD + `
uniform sampler2D photo, depth;
uniform float level, step_, wrap, exact;
void main() {
  vec3 light = textureLod(photo, at, level).rgb;
  ivec2 size = textureSize(depth, 0);
  vec2 place = at * vec2(size) - 0.5;
  ivec2 first = ivec2(floor(place + 0.5)) - 1;
  float coarse = log2(float(textureSize(photo, 0).x) / float(size.x));
  vec3 here = sqrt(light);
  float low = 1e9, high = -1e9, total = 0.0, sum = 0.0;
  vec2 best = vec2(-1.0, 0.0);
  for (int i = 0; i < 9; i++) {
    ivec2 cell = first + ivec2(i % 3, i / 3);
    cell.x = wrap > 0.5 ? (cell.x + size.x) % size.x : clamp(cell.x, 0, size.x - 1);
    cell.y = clamp(cell.y, 0, size.y - 1);
    float value = texelFetch(depth, cell, 0).r;
    vec3 apart = sqrt(textureLod(photo, (vec2(cell) + 0.5) / vec2(size), max(coarse, 0.0)).rgb) - here;
    vec2 away = vec2(first + ivec2(i % 3, i / 3)) - place;
    float weight = exp(-dot(away, away) * 1.2 - 60.0 * dot(apart, apart)) + 1e-6;
    low = min(low, value); high = max(high, value);
    total += weight; sum += weight * value;
  }
  float value = sum / total;
  if (exact > 0.5) value = texelFetch(depth, clamp(ivec2(at * vec2(size)), ivec2(0), size - 1), 0).r;
  else if (high - low > step_) value = value > (low + high) / 2.0 ? max(value, high - step_) : min(value, low + step_);
  result = vec4(here, value);
}`;

// At an edge the two pixels that mix both sides take the light of their own side beside it.
const CLEAN = HEAD + `
uniform sampler2D source;
uniform float step_;
void main() {
  ivec2 size = textureSize(source, 0), here = ivec2(at * vec2(size));
  vec4 own = texelFetch(source, here, 0), sum = vec4(0.0);
  float low = own.a, high = own.a;
  for (int i = 0; i < 25; i++) {
    ivec2 away = ivec2(i % 5 - 2, i / 5 - 2);
    vec4 other = texelFetch(source, clamp(here + away, ivec2(0), size - 1), 0);
    if (max(abs(away.x), abs(away.y)) == 1) { low = min(low, other.a); high = max(high, other.a); }
    float alike = step(abs(other.a - own.a), step_ / 2.0), far = max(float(abs(away.x)), float(abs(away.y)));
    sum += vec4(other.rgb * other.rgb, 1.0) * alike * far * far;
  }
  result = high - low > step_ && sum.a > 0.0 ? vec4(sqrt(sum.rgb / sum.a), own.a) : own;
}`;

// Half the size: each pixel takes the side of an edge that most of its four are on, and its light alone.
const HALVE = HEAD + `
uniform sampler2D source;
uniform float step_;
void main() {
  ivec2 size = textureSize(source, 0), here = ivec2(gl_FragCoord.xy) * 2;
  vec4 part[4];
  float mean = 0.0;
  for (int i = 0; i < 4; i++) {
    part[i] = texelFetch(source, min(here + ivec2(i & 1, i >> 1), size - 1), 0);
    mean += part[i].a / 4.0;
  }
  float nearest = part[0].a;
  for (int i = 1; i < 4; i++) if (abs(part[i].a - mean) < abs(nearest - mean)) nearest = part[i].a;
  vec4 sum = vec4(0.0);
  float count = 0.0;
  for (int i = 0; i < 4; i++) {
    float alike = step(abs(part[i].a - nearest), step_ / 2.0);
    sum += vec4(part[i].rgb * part[i].rgb, part[i].a) * alike; count += alike;
  }
  result = vec4(sqrt(sum.rgb / count), sum.a / count);
}`;

// The thin lens. Only what a kind of aperture and picture needs is compiled; COUNTING shows the fetches, not the light.
const LENS = (kind, highlights, around, counting) => HEAD + `
#define KIND ${kind}
#define HIGHLIGHTS ${highlights}
#define AROUND ${around}
#define COUNTING ${counting}
uniform sampler2D photo, scene, reach;
uniform vec4 view;  // u and v of the canvas's lower left corner, and its extent; of a panorama yaw, pitch, zoom in u and v
uniform vec2 pixel;  // of the canvas, in uv
uniform vec2 texels;  // of the scene and of the photo, per pixel of the canvas
uniform float scale, focus, sharp, most, before, behind, highlights;
uniform vec3 shape;  // blades, rotation, area of the unit shape
uniform vec2 middle;  // half the diagonal in uv, for the cat's eye
uniform vec3 spiral[${SAMPLES}];  // samples of a disc, each for an equal area: direction times radius, and radius

const float PI = 3.14159265;

float blur(float depth) {  // signed radius in pixels of the canvas, positive nearer than the focus
  float away = (depth - focus) * scale;
  return clamp(max(away - sharp, 0.0) * before + min(away + sharp, 0.0) * behind, -most, most);
}

// How far a place is from the middle of an aperture of this radius, in pixels: the radius itself on its rim.
float outline(vec2 place, float far, float radius, vec2 tilt) {
#if KIND == 2
  float turn = 2.0 * PI / shape.x, angle = atan(place.y, place.x) + PI / 2.0 - shape.y;
  return far * cos(mod(angle, turn) - turn / 2.0) / cos(turn / 2.0);
#elif KIND == 3
  return max(length(place - tilt * radius / 2.0), length(place + tilt * radius / 2.0));
#else
  return far;
#endif
}

// The part of a sample at this place that a disc of this signed radius covers.
float covered(vec2 away, float far, float radius, float soft, vec2 tilt) {
  float rim = max(abs(radius), 1.0), edge = outline(radius < 0.0 ? -away : away, far, rim, tilt);
  float part = clamp((rim - edge) * soft + 0.5, 0.0, 1.0);
#if KIND == 1
  part *= clamp((edge - ${RING} * rim) * soft + 0.5, 0.0, 1.0);
#endif
  return part / (rim * rim);
}

vec3 light(vec4 texel, float radius) {
  vec3 linear = texel.rgb * texel.rgb;
#if HIGHLIGHTS
  float rise = clamp((max(linear.r, max(linear.g, linear.b)) - ${BRIGHT}) / ${1 - BRIGHT}, 0.0, 1.0);
  linear *= 1.0 + highlights * rise * rise * clamp(abs(radius) - 1.0, 0.0, 1.0);
#endif
  return linear;
}

vec3 srgb(vec3 linear) {
  return mix(12.92 * linear, 1.055 * pow(linear, vec3(1.0 / 2.4)) - 0.055, step(0.0031308, linear));
}

int fetched = 0;
vec4 look(sampler2D texels_of, vec2 uv, float lod) {
#if COUNTING
  fetched += 1;
#endif
  return textureLod(texels_of, uv, lod);
}

void main() {
#if AROUND
  vec3 ray = vec3((2.0 * at - 1.0) * vec2(1.0, -1.0) * view.zw, 1.0);
  ray.yz = mat2(cos(view.y), sin(view.y), -sin(view.y), cos(view.y)) * ray.yz;
  ray.xz = mat2(cos(view.x), -sin(view.x), sin(view.x), cos(view.x)) * ray.xz;
  float level_ = length(ray.xz);
  vec2 uv = vec2(0.5 + atan(ray.x, ray.z) / (2.0 * PI), 0.5 + atan(ray.y, level_) / PI);
  vec2 step_uv = pixel / vec2(max(level_ / length(ray), 0.02), 1.0);
#else
  vec2 uv = view.xy + at * view.zw, step_uv = pixel;
#endif
  vec2 nodes = vec2(textureSize(reach, 0));
  float level = floor(max(0.0, log2(texels.x)) + 0.5);
  vec2 size = vec2(textureSize(scene, int(level)));
  vec3 own = look(photo, uv, max(0.0, log2(texels.y))).rgb;
  float radius = blur(look(scene, (floor(uv * size) + 0.5) / size, level).a);
  float reached = look(reach, (uv * (nodes - 1.0) + 0.5) / nodes, 0.0).r * most;
  if (abs(radius) < 0.05 && reached < 0.05) {
    result = vec4(COUNTING == 1 ? vec3(fetched) / 255.0 : srgb(own), 1.0);
    return;
  }

  vec2 tilt = vec2(0.0);
  float area = shape.z;
#if KIND == 3
  tilt = ${TILT} * (uv - 0.5) / middle;
  float apart = min(length(tilt), 2.0);
  area = 2.0 * acos(apart / 2.0) - apart / 2.0 * sqrt(4.0 - apart * apart);
#endif
  // At most as many samples as pixels within reach. Most lie within this pixel's own disc; around it, only what is
  // nearer counts: foreground that is blurred over this pixel.
  float inner = max(abs(radius), 1.0) * 1.03 + 0.5, outer = max(inner, reached + 0.5);
  float count = floor(clamp(PI * outer * outer, 12.0, ${SAMPLES}.0)), own_count = ceil(count * max(inner / outer, 0.2));
  vec2 cell = vec2(inner * inner / own_count, (outer * outer - inner * inner) / max(count - own_count, 1.0));
  vec2 side = max(sqrt(PI * cell), 1e-3), lod = log2(side * texels.x) - 0.25, soft = 1.0 / max(vec2(1.0), 0.5 * side);
  float unit = sqrt(cell.x);
  cell *= PI / area;
  vec4 over = vec4(0.0), same = vec4(0.0), under = vec4(0.0);
  for (int i = 0; i < ${SAMPLES}; i++) {
    float k = float(i) + 0.5;
    if (k > count) break;
    bool close = k < own_count;
    float far = close ? spiral[i].z * unit : sqrt(inner * inner + cell.y * area / PI * (k - own_count));
    vec2 away = spiral[i].xy * (far / spiral[i].z);
    vec4 other = look(scene, uv + away * step_uv, close ? lod.x : lod.y);
    float r = blur(other.a), step_ = r - radius;
    float covers = covered(away, far, r, close ? soft.x : soft.y, tilt) * (close ? cell.x : cell.y);
    float nearer = clamp(step_ - 0.5, 0.0, 1.0), farther = clamp(-step_ - 0.5, 0.0, 1.0);
    vec4 seen = vec4(light(other, r), 1.0);
    over += seen * (covers * nearer * min(r * r, 1.0));
    same += seen * (covers * (1.0 - nearer - farther));
    under += seen * (farther * (covers + 0.06 * unit * unit / (1.0 + far * far * far)));
  }
  // Below a radius of one pixel the disc stays that wide and counts less, so that its second moment is right.
  same = mix(vec4(own, 1.0), same, min(radius * radius, 1.0));
  vec3 sum = vec3(0.0);
  float open = 1.0, cover = min(over.a, open);
  sum += over.rgb / max(over.a, 1e-6) * cover; open -= cover;
  cover = min(same.a, open);
  sum += same.rgb / max(same.a, 1e-6) * cover; open -= cover;
  cover = under.a > 1e-4 ? open : 0.0;
  sum += under.rgb / max(under.a, 1e-6) * cover; open -= cover;
  result = vec4(srgb(clamp(sum / max(1.0 - open, 1e-6), 0.0, 1.0)), 1.0);
#if COUNTING
  result.rgb = vec3(fetched) / 255.0;
#endif
}`;

// Return the live picture of `photo` (an image in sRGB) on `canvas`. `depth` is {data, width, height}: 16-bit inverse
// depths, as decodeDepth returns them; `matte` {data, width, height}, 8 bits, 255 on the subject. `meta`: {whole: the range
// that an amount refers to, as a part of 65535 steps (else the data's own); camera: "equirectangular" for a panorama;
// metres: {low, high}, the inverse depths in 1/m of the numbers 0 and 65535, which an f-number needs}.
export function createLive(canvas, { photo, depth, matte = null, meta = {} }) {
  const gl = canvas.getContext("webgl2", { alpha: false, antialias: false, depth: false, preserveDrawingBuffer: true });
  if (!gl) throw new Error("This browser has no WebGL 2; use a newer one, or switch on graphics acceleration.");
  const around = meta.camera === "equirectangular" ? 1 : 0;
  const width = photo.naturalWidth || photo.width, height = photo.naturalHeight || photo.height;
  const size = within([width, height], MOST, gl.getParameter(gl.MAX_TEXTURE_SIZE));  // of the photo here
  const small = within(size, BLURRED, Infinity);  // of what is blurred
  const programs = { join: program(gl, JOIN), clean: program(gl, CLEAN), halve: program(gl, HALVE) };
  const reach = gl.createTexture();
  const picture = loadPicture(), scene = texture(gl.RGBA8, small, levels(small), gl.LINEAR, gl.LINEAR_MIPMAP_NEAREST);
  let whole, blocks, sight = around ? { yaw: 0, pitch: 0, field: 1.4 } : [0, 0, 1, 1];
  setDepth(depth);

  function texture(format, [w, h], levels, magnify, shrink) {
    const made = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, made);
    gl.texStorage2D(gl.TEXTURE_2D, levels, format, w, h);
    for (const [key, value] of [["MIN_FILTER", shrink], ["MAG_FILTER", magnify], ["WRAP_T", gl.CLAMP_TO_EDGE],
                                ["WRAP_S", around ? gl.REPEAT : gl.CLAMP_TO_EDGE]])
      gl.texParameteri(gl.TEXTURE_2D, gl["TEXTURE_" + key], value);
    return made;
  }

  function pass(name, [w, h], textures, numbers, target, level = 0) {
    const { made, at } = programs[name];
    gl.useProgram(made);
    Object.entries(textures).forEach(([key, value], k) => {
      gl.activeTexture(gl.TEXTURE0 + k);
      gl.bindTexture(gl.TEXTURE_2D, value);
      gl.uniform1i(at(key), k);
    });
    for (const [key, value] of Object.entries(numbers)) {
      if (typeof value === "number") gl.uniform1f(at(key), value);
      else gl[key === "spiral" ? "uniform3fv" : `uniform${value.length}fv`](at(key), value);
    }
    const frame = target && gl.createFramebuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, frame);
    if (target) gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, target, level);
    gl.viewport(0, 0, w, h);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    if (frame) gl.deleteFramebuffer(frame);
  }

  function loadPicture() {
    let image = photo;
    if (size[0] !== width) {
      image = Object.assign(document.createElement("canvas"), { width: size[0], height: size[1] });
      image.getContext("2d").drawImage(photo, 0, 0, ...size);
    }
    const made = texture(gl.SRGB8_ALPHA8, size, levels(size), gl.LINEAR, gl.LINEAR_MIPMAP_LINEAR);
    gl.pixelStorei(gl.UNPACK_COLORSPACE_CONVERSION_WEBGL, gl.NONE);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, gl.RGBA, gl.UNSIGNED_BYTE, image);
    gl.generateMipmap(gl.TEXTURE_2D);
    return made;
  }

  // Take other depth for the same photo, as after a stroke of a brush.
  function setDepth(other) {
    depth = other;
    whole = meta.whole || range(depth.data);
    blocks = nearest(depth);
    const step_ = STEP * whole, numbers = texture(gl.R32F, [depth.width, depth.height], 1, gl.NEAREST, gl.NEAREST);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, depth.width, depth.height, gl.RED, gl.FLOAT, Float32Array.from(depth.data, n => n / WHITE));
    const joined = texture(gl.RGBA8, small, 1, gl.NEAREST, gl.NEAREST);
    pass("join", small, { photo: picture, depth: numbers },
      { level: Math.log2(size[0] / small[0]), step_, wrap: around, exact: depth.width >= small[0] ? 1 : 0 }, joined);
    pass("clean", small, { source: joined }, { step_ }, scene);
    const limit = (first, last) => {
      gl.bindTexture(gl.TEXTURE_2D, scene);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_BASE_LEVEL, first);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAX_LEVEL, last);
    };
    for (let level = 1; level < levels(small); level++) {
      limit(level - 1, level - 1);
      pass("halve", small.map(n => Math.max(1, n >> level)), { source: scene }, { step_ }, scene, level);
    }
    limit(0, levels(small) - 1);
    for (const made of [joined, numbers]) gl.deleteTexture(made);
  }

  // Draw the photo sharp at `focus`, a number as depthAt returns it. `amount`, `range`, `before`, `behind`, `highlights` and
  // `shape` are those of cyclopean's Lens; `optics` {fNumber, focalMm, sensorMm} takes the place of the amount. `view` is the
  // part of the photo on the canvas, [u, v, width, height]; of a panorama {yaw, pitch, field} in radians.
  function render({ focus, amount = 1, range: part = 0, before = 1, behind = 1, highlights = 0, shape = {}, optics = null,
                    view = sight, counting = false }) {
    sight = view;
    const pixels = [canvas.width, canvas.height], tangent = around ? Math.tan(view.field / 2) : 0;
    const drawn = around ? [Math.PI * pixels[0] / tangent, Math.PI / 2 * pixels[0] / tangent]
                         : [pixels[0] / view[2], pixels[1] / view[3]];  // the whole photo at the canvas's scale
    const diagonal = Math.min(Math.hypot(...drawn), Math.sqrt(drawn[0] * drawn[1] * (LONGEST + 1 / LONGEST)));
    const scale = optics ? throughOptics(optics, focus, Math.max(...drawn), meta.metres) : amount * PART * diagonal / whole;
    const most = WIDEST * diagonal, sharp = part * whole * scale / 2;
    blocks.upload(gl, reach, depth => Math.min(Math.max((depth - focus) * scale - sharp, 0) * before, most), drawn, most, around);
    const { kind = "disc", blades = 6, rotation = 0 } = shape;
    const area = { polygon: blades / 2 * Math.sin(2 * Math.PI / blades), ring: Math.PI * (1 - RING * RING) }[kind] ?? Math.PI;
    const variant = [KINDS[kind], highlights > 0 ? 1 : 0, around, counting ? 1 : 0], name = `lens ${variant}`;
    programs[name] ??= program(gl, LENS(...variant));
    pass(name, pixels, { photo: picture, scene, reach }, {
      view: around ? [view.yaw, view.pitch, tangent, tangent * pixels[1] / pixels[0]]
                   : [view[0], view[1] + view[3], view[2], -view[3]],
      pixel: [1 / drawn[0], 1 / drawn[1]], texels: [small[0] / drawn[0], size[0] / drawn[0]],
      scale, focus, sharp, most, before, behind, highlights, shape: [blades, rotation * Math.PI / 180, area], spiral: SPIRAL,
      middle: drawn.map(side => Math.hypot(...drawn) / 2 / side),
    }, null);
  }

  // Return the place (u, v) of the photo at a place of the canvas; both are fractions of width and height.
  function placeAt(x, y) {
    if (!around) return [sight[0] + x * sight[2], sight[1] + y * sight[3]];
    const tangent = Math.tan(sight.field / 2);
    const a = (2 * x - 1) * tangent, b = (2 * y - 1) * tangent * canvas.height / canvas.width;
    const down = Math.cos(sight.pitch) * b - Math.sin(sight.pitch), ahead = Math.sin(sight.pitch) * b + Math.cos(sight.pitch);
    const right = Math.cos(sight.yaw) * a + Math.sin(sight.yaw) * ahead, forth = Math.cos(sight.yaw) * ahead - Math.sin(sight.yaw) * a;
    return [0.5 + Math.atan2(right, forth) / (2 * Math.PI), 0.5 + Math.atan2(down, Math.hypot(right, forth)) / Math.PI];
  }

  // Return the depth at a place of the photo: inverse, larger is nearer, from 0 to 1.
  function depthAt(u, v) {
    const x = Math.min(depth.width - 1, Math.max(0, Math.floor(u * depth.width)));
    return depth.data[Math.min(depth.height - 1, Math.max(0, Math.floor(v * depth.height))) * depth.width + x] / WHITE;
  }

  // Return {focus, range} for which the subject of a matte is sharp as a whole; null where it shows no subject.
  function subject({ data, width, height } = matte ?? {}) {
    const inside = [];
    data?.forEach((part, k) => { if (part > 127) inside.push(depthAt((k % width + 0.5) / width, (Math.floor(k / width) + 0.5) / height)); });
    if (!inside.length) return null;
    inside.sort((a, b) => a - b);
    const [low, high] = [0.05, 0.95].map(part => inside[Math.round(part * (inside.length - 1))]);
    return { focus: (low + high) / 2, range: Math.min(1, (high - low) / whole) };
  }

  function destroy() {
    for (const made of [picture, scene, reach]) gl.deleteTexture(made);
    for (const { made } of Object.values(programs)) gl.deleteProgram(made);
  }

  return { render, depthAt, placeAt, subject, setDepth, destroy };
}

// Return the numbers of a grey PNG of 16 bits, decoded here: no browser's colour management or privacy noise touches them.
export async function decodeDepth(bytes) {
  const file = new DataView(bytes.buffer ?? bytes, bytes.byteOffset ?? 0, bytes.byteLength), parts = [];
  let width = 0, height = 0;
  for (let place = 8; place < file.byteLength;) {
    const length = file.getUint32(place), start = file.byteOffset + place + 8;
    const name = String.fromCharCode(...new Uint8Array(file.buffer, start - 4, 4));
    if (name === "IHDR") {
      [width, height] = [file.getUint32(place + 8), file.getUint32(place + 12)];
      if (file.getUint8(place + 16) !== 16 || file.getUint8(place + 17) !== 0 || file.getUint8(place + 20) !== 0)
        throw new Error("The depth is not a grey PNG of 16 bits.");
    }
    if (name === "IDAT") parts.push(new Uint8Array(file.buffer, start, length));
    place += length + 12;
  }
  const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
  const raw = new Uint8Array(await new Response(stream).arrayBuffer()), stride = 2 * width, data = new Uint16Array(width * height);
  let above = new Uint8Array(stride);
  for (let y = 0, place = 0; y < height; y++) {
    const kind = raw[place++], row = raw.subarray(place, place += stride);
    for (let k = 0; k < stride; k++) {
      const a = k < 2 ? 0 : row[k - 2], b = above[k], c = k < 2 ? 0 : above[k - 2];
      const [da, db, dc] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
      row[k] += kind === 0 ? 0 : kind === 1 ? a : kind === 2 ? b : kind === 3 ? (a + b) >> 1 : da <= db && da <= dc ? a : db <= dc ? b : c;
    }
    for (let x = 0; x < width; x++) data[y * width + x] = 256 * row[2 * x] + row[2 * x + 1];
    above = row;
  }
  return { data, width, height };
}

// Return the radius of blur per unit of depth, as Optics.scale and Optics.magnification have it.
function throughOptics({ fNumber, focalMm = 50, sensorMm = 36 }, focus, longer, metres) {
  if (!metres) throw new Error("An f-number needs depth in metres.");
  const left = 1 - focalMm / 1000 * (metres.low + focus * (metres.high - metres.low));
  return focalMm / fNumber * focalMm / 1000 / sensorMm * longer / 2 * (metres.high - metres.low) / Math.max(left, 0.05);
}

function program(gl, fragment) {
  const made = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, SCREEN], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(made, shader);
  }
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(made));
  const places = {};
  return { made, at: name => (places[name] ??= gl.getUniformLocation(made, name)) };
}

const levels = ([w, h]) => 1 + Math.floor(Math.log2(Math.max(w, h)));

function within([w, h], pixels, side) {
  const shrink = Math.max(1, Math.sqrt(w * h / pixels), w / side, h / side);
  return [Math.max(1, Math.round(w / shrink)), Math.max(1, Math.round(h / shrink))];
}

function range(data) {
  const some = data.filter((_, k) => k % Math.max(1, data.length >> 16) === 0).sort();
  const low = some[Math.floor(0.01 * (some.length - 1))], high = some[Math.ceil(0.99 * (some.length - 1))];
  return (high - low || some[some.length - 1] - some[0] || WHITE) / WHITE;
}

// The nearest depth of each block of the picture, and from it how far blurred foreground reaches into each.
function nearest({ data, width, height }) {
  const side = Math.max(width, height) / BLOCKS;
  const columns = Math.max(1, Math.round(width / side)), rows = Math.max(1, Math.round(height / side));
  const value = new Float32Array(rows * columns);
  for (let y = 0, k = 0; y < height; y++) for (let x = 0; x < width; x++, k++) {
    const block = Math.floor(y * rows / height) * columns + Math.floor(x * columns / width);
    value[block] = Math.max(value[block], data[k] / WHITE);
  }
  return { upload(gl, texture, radius, drawn, most, around) {
    const wide = drawn[0] / columns, high = drawn[1] / rows, corners = new Uint8Array((rows + 1) * (columns + 1));
    const widest = new Float32Array(rows * columns);
    value.forEach((depth, k) => {
      const r = radius(depth), y = Math.floor(k / columns), x = k % columns;
      if (r < 0.05) return;
      const dy = Math.ceil(r / high), dx = Math.ceil(r / wide);
      for (let j = Math.max(0, y - dy); j <= Math.min(rows - 1, y + dy); j++)
        for (let i = around ? x - dx : Math.max(0, x - dx); i <= (around ? x + dx : Math.min(columns - 1, x + dx)); i++) {
          const gap = Math.hypot(Math.max(0, Math.abs(i - x) - 1) * wide, Math.max(0, Math.abs(j - y) - 1) * high);
          const to = j * columns + (i + columns) % columns;
          if (gap <= r && r > widest[to]) widest[to] = r;
        }
    });
    const w = columns + 1;
    widest.forEach((r, k) => {
      const y = Math.floor(k / columns), x = k % columns, byte = Math.min(255, Math.ceil(r / most * 255));
      for (const to of [y * w + x, y * w + x + 1, y * w + w + x, y * w + w + x + 1]) corners[to] = Math.max(corners[to], byte);
    });
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8, w, rows + 1, 0, gl.RED, gl.UNSIGNED_BYTE, corners);
    for (const key of ["MIN_FILTER", "MAG_FILTER"]) gl.texParameteri(gl.TEXTURE_2D, gl["TEXTURE_" + key], gl.LINEAR);
    for (const key of ["WRAP_S", "WRAP_T"]) gl.texParameteri(gl.TEXTURE_2D, gl["TEXTURE_" + key], gl.CLAMP_TO_EDGE);
  } };
}
