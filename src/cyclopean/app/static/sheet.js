// The picture itself: how large it is shown, which part of it, and the pointer, fingers and keys on it.
const LARGEST = 16  // times the size at which the picture fits
const STEADY = 5  // CSS pixels that a pointer may move in a click
const MOST_POINTS = 400  // of a stroke

export class Sheet {
  #size = [1, 1]  // of the picture in CSS pixels when it fits
  #zoom = 1
  #at = [0, 0]  // where its corner is in the frame
  #fingers = new Map()
  #moved = false
  #stroke = null

  constructor(stage) {
    this.stage = stage
    this.frame = stage.find('frame')
    this.element = stage.find('sheet')
    new ResizeObserver(() => this.layout()).observe(this.frame)
    addEventListener('resize', () => this.layout())
    this.#buttons()
    this.#pointers()
    this.frame.addEventListener('keydown', (event) => this.#keys(event))
    this.frame.addEventListener('blur', () => stage.show('cross', false))
  }

  get zoomed() { return this.#zoom > 1 }
  get size() { return this.#size }
  // How many pixels of the screen there are for one of the photo.
  get scale() { return this.#zoom * this.#size[0] * devicePixelRatio / this.stage.state.full[0] }

  // ---- size and place
  layout() {
    const { full, photo } = this.stage.state
    if (!photo || !this.frame.clientWidth) return
    const [w, h] = full, width = this.frame.clientWidth, highest = parseFloat(getComputedStyle(this.frame).maxHeight) || 600
    const fit = Math.min(width / w, highest / h, 1)
    this.#size = [Math.max(1, w * fit), Math.max(1, h * fit)]
    this.frame.style.height = Math.max(this.#size[1], Math.min(160, highest)) + 'px'
    this.#place()
  }

  fit() { this.#zoom = 1; this.#at = [0, 0]; this.layout() }

  // Zoom to `zoom` times the size that fits; what is at `place` in the frame stays there.
  zoomTo(zoom, place = [this.frame.clientWidth / 2, this.frame.clientHeight / 2]) {
    const next = Math.min(Math.max(zoom, 1), LARGEST), was = this.zoomed
    this.#at = this.#at.map((corner, axis) => place[axis] - (place[axis] - corner) * next / this.#zoom)
    this.#zoom = next
    this.#place()
    if (was !== this.zoomed) this.stage.draw()
    if (this.zoomed) this.stage.tab.zoomed?.()
  }

  #place() {
    const room = [this.frame.clientWidth, this.frame.clientHeight]
    this.#at = this.#at.map((corner, axis) => {
      const spare = room[axis] - this.#size[axis] * this.#zoom
      return spare >= 0 ? spare / 2 : Math.min(0, Math.max(spare, corner))
    })
    const { style } = this.element
    style.width = this.#size[0] + 'px'; style.height = this.#size[1] + 'px'
    style.transform = `translate(${this.#at[0]}px, ${this.#at[1]}px) scale(${this.#zoom})`
    style.setProperty('--small', 1 / this.#zoom)
    this.frame.classList.toggle('zoomed', this.zoomed)
    this.stage.find('fit').setAttribute('aria-pressed', String(!this.zoomed))
  }

  #buttons() {
    const find = (name) => this.stage.find(name)
    find('fit').onclick = () => this.zoomTo(1)
    find('pixels').onclick = () => this.zoomTo(this.#zoom / this.scale)
    find('in').onclick = () => this.zoomTo(1.5 * this.#zoom)
    find('out').onclick = () => this.zoomTo(this.#zoom / 1.5)
    this.frame.addEventListener('wheel', (event) => {
      if (!this.stage.flat || !(event.ctrlKey || event.metaKey || this.zoomed)) return  // else the page scrolls
      event.preventDefault()
      this.zoomTo(this.#zoom * Math.exp(-0.002 * event.deltaY), this.#inFrame(event))
    }, { passive: false })
  }

  #inFrame(event) {
    const box = this.frame.getBoundingClientRect()
    return [event.clientX - box.left, event.clientY - box.top]
  }

  // ---- marks
  draw() {
    this.layout()
    const { stage } = this, { state } = stage
    const points = !stage.pointed ? [] : stage.kind === 'measure' ? state.points || [] : state.point ? [state.point] : []
    stage.element.querySelectorAll('.mark').forEach((dot, number) => {
      dot.hidden = !points[number]
      if (points[number]) place(dot, points[number])
    })
    const line = stage.find('line').firstElementChild
    stage.find('line').toggleAttribute('hidden', points.length < 2)
    if (points.length === 2) points.forEach((at, number) => {
      line.setAttribute('x' + (number + 1), 100 * at[0] + '%'); line.setAttribute('y' + (number + 1), 100 * at[1] + '%')
    })
    this.frame.classList.toggle('painting', !!stage.brush)
    if (!stage.brush) stage.show('ring', false)
  }

  // ---- pointing
  // The one place where the page measures a pointer: fractions of the shown picture from its top-left corner; null
  // beside it.
  fraction(event) {
    const box = this.element.getBoundingClientRect()
    const at = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height]
    const spare = [2 / box.width, 2 / box.height]
    if (at.some((value, axis) => !(value >= -spare[axis] && value <= 1 + spare[axis]))) return null
    return at.map((value) => Math.min(1, Math.max(0, value)))
  }

  #pointers() {
    const { frame, stage } = this
    frame.addEventListener('pointerdown', (event) => {
      this.#fingers.set(event.pointerId, this.#inFrame(event))
      if (this.#fingers.size === 1) this.#moved = false
      if (event.target.closest('.frame') !== frame || event.button > 0) return
      try { frame.setPointerCapture(event.pointerId) } catch { /* a pointer that has gone */ }
      if (this.#fingers.size > 1) { this.#moved = true; this.#stroke = null; this.#paint(); return }
      const at = this.fraction(event)
      if (stage.state.view === 'compare' && at && !this.zoomed) stage.cut(at[0])
      else if (stage.brush && at) this.#begin(at)
    })
    frame.addEventListener('pointermove', (event) => {
      const now = this.#inFrame(event), before = this.#fingers.get(event.pointerId), at = this.fraction(event)
      this.#ring(event, now)
      if (!before) {
        if (event.pointerType === 'mouse' && !stage.brush) stage.tab.hover?.(stage.pointed ? at : null)
        return
      }
      if (this.#fingers.size === 2) this.#pinch(event.pointerId, before, now)
      else if (this.#stroke) this.#extend(at)
      else if (stage.state.view === 'compare' && at && !this.zoomed) stage.cut(at[0])
      else if (this.#moved || Math.hypot(now[0] - before[0], now[1] - before[1]) > STEADY) {
        this.#moved = true
        if (this.zoomed) { this.#at = this.#at.map((corner, axis) => corner + now[axis] - before[axis]); this.#place() }
      } else return  // not moved yet: measured from where it began
      this.#fingers.set(event.pointerId, now)
    })
    const end = (event) => {
      this.#fingers.delete(event.pointerId)
      if (this.#stroke && !this.#fingers.size) this.#finish()
    }
    frame.addEventListener('pointerup', end)
    frame.addEventListener('pointercancel', (event) => { this.#stroke = null; this.#paint(); end(event) })
    frame.addEventListener('pointerleave', () => { stage.tab.hover?.(null); stage.show('ring', false) })
    frame.addEventListener('click', (event) => {
      const at = this.fraction(event)
      if (stage.pointed && !stage.brush && !this.#moved && at) stage.point(at)
      this.#moved = false
    })
  }

  #pinch(id, before, now) {
    const other = [...this.#fingers].find(([name]) => name !== id)[1]
    const apart = (one) => Math.max(1, Math.hypot(one[0] - other[0], one[1] - other[1]))
    const middle = now.map((value, axis) => (value + other[axis]) / 2)
    this.#at = this.#at.map((corner, axis) => corner + (now[axis] - before[axis]) / 2)
    this.zoomTo(this.#zoom * apart(now) / apart(before), middle)
  }

  #keys(event) {
    const { stage } = this, { state } = stage, step = event.shiftKey ? 0.1 : 0.02
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }
    const zooms = { '+': 1.5 * this.#zoom, '=': 1.5 * this.#zoom, '-': this.#zoom / 1.5, 0: 1, 1: this.#zoom / this.scale }
    if (event.ctrlKey || event.metaKey || event.altKey) return
    if (event.key in moves && stage.pointed) {
      state.cursor = state.cursor.map((value, axis) => Math.min(1, Math.max(0, value + moves[event.key][axis])))
      stage.show('cross', true)
      place(stage.find('cross'), state.cursor)
    } else if (event.key in moves && state.view === 'compare') {
      stage.cut(Number(stage.find('slide').querySelector('input').value) / 100 + moves[event.key][0])
    } else if ((event.key === 'Enter' || event.key === ' ') && stage.pointed) {
      if (stage.brush) { this.#begin(state.cursor); this.#finish() } else stage.point(state.cursor)
    } else if (event.key in zooms && stage.flat) this.zoomTo(zooms[event.key])
    else if (event.key === 'Escape' && !stage.brush && this.zoomed) this.zoomTo(1)
    else return
    event.preventDefault()
  }

  // ---- painting: strokes are lists of points in fractions, and a radius in parts of the diagonal
  #reach() { return this.stage.brush.radius * Math.hypot(...this.#size) }

  #begin(at) { this.#stroke = [at]; this.#paint() }

  #extend(at) {
    if (!at || this.#stroke.length >= MOST_POINTS) return
    const last = this.#stroke.at(-1)
    const away = Math.hypot(...at.map((value, axis) => (value - last[axis]) * this.#size[axis]))
    if (away < this.#reach() / 4) return
    this.#stroke.push(at)
    this.#paint()
  }

  #finish() {
    const points = this.#stroke
    this.#stroke = null
    this.stage.tab.stroke(points)
  }

  // Show the stroke until its result is there.
  #paint() {
    const canvas = this.stage.find('paint'), brush = canvas.getContext('2d'), [w, h] = this.#size
    canvas.hidden = !this.#stroke
    canvas.width = w; canvas.height = h
    if (!this.#stroke) return
    brush.strokeStyle = getComputedStyle(this.frame).getPropertyValue('--accent')
    brush.lineWidth = 2 * this.#reach(); brush.lineCap = brush.lineJoin = 'round'
    brush.beginPath()
    this.#stroke.forEach(([x, y], number) => number ? brush.lineTo(x * w, y * h) : brush.moveTo(x * w, y * h))
    if (this.#stroke.length === 1) brush.lineTo(this.#stroke[0][0] * w + 0.01, this.#stroke[0][1] * h)
    brush.stroke()
  }

  unpaint() { if (!this.#stroke) this.stage.show('paint', false) }

  #ring(event, now) {
    const ring = this.stage.find('ring')
    ring.hidden = !this.stage.brush || event.pointerType === 'touch'
    if (ring.hidden) return
    const side = 2 * this.#reach() * this.#zoom
    ring.style.width = ring.style.height = side + 'px'
    ring.style.left = now[0] - side / 2 + 'px'; ring.style.top = now[1] - side / 2 + 'px'
  }
}

function place(mark, at) { mark.style.left = 100 * at[0] + '%'; mark.style.top = 100 * at[1] + '%' }
