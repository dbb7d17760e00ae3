// The photo refocused here, by the graphics card, as the pointer and the controls move.
import { createLive, decodeDepth } from './live.js'

const QUICK = 40, SETTLE = 350  // milliseconds: of a frame; until a slow machine draws finely
const COARSE = 0.25e6, FINE = 1.5e6  // pixels of a slow machine while things move, and of any at rest

export const wanted = new URLSearchParams(location.search).get('preview') !== 'server' &&
  !!document.createElement('canvas').getContext('webgl2')

export class Preview {
  #live = null
  #size = [1, 1]
  #quick = false
  #next = null
  #resting = 0
  #subject = null
  frames = 0

  // `lost` hears when the graphics card gives up: the server makes the previews from then on.
  constructor(canvas, lost) {
    this.canvas = canvas
    canvas.addEventListener('webglcontextlost', () => { this.close(); lost() })
  }

  get ready() { return this.#live !== null }

  // Get ready for the photo at an address; `scene` has the address of its depth, and the range that amounts refer to.
  async open(photo, scene) {
    this.close()
    try {
      const image = new Image()
      image.src = photo
      const [depth] = await Promise.all([read(scene.depth), image.decode()])
      this.#size = [image.naturalWidth, image.naturalHeight]
      this.#live = createLive(this.canvas, { photo: image, depth, meta: { whole: scene.whole } })
      this.#subject = null
      this.#measure()
    } catch (error) { console.warn(error.message); this.close() }
  }

  // Take another depth of the same photo, in which the subject, if there is one, is one surface.
  async mend(scene) {
    if (!this.#live) return
    const depth = await read(scene.depth)
    this.#live?.setDepth(depth)
    this.#subject = scene.focus === undefined ? null : { focus: scene.focus, range: scene.range }
  }

  forget() { this.#subject = null }

  close() { this.#live?.destroy(); this.#live = null; this.#next = null; clearTimeout(this.#resting) }

  // Draw soon: the photo sharp at a point, with the settings of the controls; `chosen`: all of the subject is sharp.
  draw(at, look, chosen) {
    const waiting = this.#next !== null
    this.#next = [at, look, chosen]
    clearTimeout(this.#resting)
    if (!this.#quick) this.#resting = setTimeout(() => this.#render(at, look, chosen, FINE), SETTLE)
    if (!waiting) requestAnimationFrame(() => {
      if (this.#next) this.#render(...this.#next, this.#quick ? FINE : COARSE)
      this.#next = null
    })
  }

  #render(at, look, chosen, most) {
    if (!this.#live) return
    const shrink = Math.min(1, Math.sqrt(most / (this.#size[0] * this.#size[1])))
    const sides = this.#size.map((side) => Math.max(1, Math.round(side * shrink)))
    if (this.canvas.width !== sides[0] || this.canvas.height !== sides[1]) [this.canvas.width, this.canvas.height] = sides
    const [kind, blades] = look.shape.split(':'), inside = at.map((part) => Math.min(part, 1 - 1e-6))
    const subject = chosen && look.subject && !look.range && this.#subject
    this.#live.render({
      ...(subject || { focus: this.#live.depthAt(...inside), range: look.range }),
      amount: look.amount, highlights: look.highlights, shape: { kind, blades: Number(blades) || 6, rotation: 0 }, view: [0, 0, 1, 1],
    })
    this.frames++
  }

  // How quick is this machine? The second frame tells; the first compiles.
  #measure() {
    const gl = this.canvas.getContext('webgl2'), look = { amount: 1, range: 0, highlights: 0, shape: 'disc' }
    const once = () => {
      const since = performance.now()
      this.#render([0.5, 0.5], look, false, COARSE)
      gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4))
      return performance.now() - since
    }
    once()
    this.#quick = once() < QUICK
  }
}

async function read(address) { return decodeDepth(await (await fetch(address)).arrayBuffer()) }
