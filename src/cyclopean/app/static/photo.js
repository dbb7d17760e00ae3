// The first tab: choose a photo, look at its depth, click what should be sharp, save.
import { card, step, Turns } from './server.js'
import { Aperture, Looks } from './controls.js'
import { Preview, wanted } from './preview.js'
import { Stage, typing } from './stage.js'

const STEPS = { choose: 'Photo', depth: 'Depth', focus: 'Focus', save: 'Save' }
const BRUSHES = {
  add: 'What you paint gets the depth of the point in focus.', remove: 'What you paint gets the depth of what surrounds it.',
  nearer: 'What you paint comes nearer.', farther: 'What you paint goes farther away.',
  same: 'Begin where the depth is right: all that you paint gets the depth of that place.',
}
const find = (id) => document.getElementById(id)

export class PhotoTab {
  turns = new Turns()
  #asked = 0
  #resting = 0

  constructor() {
    this.stage = new Stage('photo', this)
    this.stage.examples(card.examples)
    if (wanted) this.stage.preview = new Preview(this.stage.find('live'), () => this.#focus(null, 'point'))
    this.looks = new Looks(document.querySelector('.looks[data-for=photo]'), '', (name) => this.#focus(null, name))
    this.aperture = new Aperture(this.looks, (name) => this.#focus(null, name))
    for (const [button, name] of Object.entries({
      'next-focus': 'focus', 'next-save': 'save', another: 'choose', 'another-end': 'choose', 'back-depth': 'depth', 'back-focus': 'focus',
    })) find(button).onclick = () => this.go(name)
    find('undo').onclick = () => this.turns.add(null, () => this.#do('undo', { render: !this.live }))
    find('predict').onclick = () => {
      this.stage.busy('Estimating its depth')
      this.turns.add('open', () => this.#do('predict'))
    }
    find('save-depth').onclick = () => this.#save('save_depth', {}, 'Writing the depth')
    find('save-photo').onclick = () => this.#save('save_photo', { kept: find('kept').value }, 'Making the photo at its full size')
    this.#brushes()
    addEventListener('keydown', (event) => this.#keys(event))
    this.#panel()
  }

  arrived() { this.turns.add('open', () => this.#do('open')) }
  example(number) { this.turns.add('open', () => this.#do('example', { number })) }
  point(at) { this.#focus(at, 'point'); this.hover(null) }
  go(name) { this.turns.add('go', () => this.#do('go', { step: name })) }

  // Another tab has opened or changed this photo.
  hear(value) {
    if (value.full) this.stage.preview?.close()
    this.stage.hear(value)
    this.stage.sheet.unpaint()
    if (value.look) { this.looks.value = value.look; this.aperture.follow() }
    if ('undo' in value) find('undo').disabled = !value.undo
    if (value.full) {
      find('kept').value = /\.jpe?g$/i.test(value.name) ? 'Same as the photo' : 'PNG'
      this.aperture.open(value.lens, value.full)
      find('undo').disabled = true
      find('embedded').hidden = !value.embedded; find('estimated').hidden = !!value.embedded
      this.#choose(null)
    }
    if (value.point) {
      const [x, y] = value.point.map((part) => Math.round(100 * part))
      this.stage.find('said').textContent = `Sharp at ${x} % from the left, ${y} % from the top.`
    }
    if (value.live) this.#live(value)
    else if (value.look) this.draw()
    if (this.stage.sheet.zoomed) this.zoomed()
    this.#panel()
  }

  // ---- refocused here
  // Whether the graphics card makes the previews: it has the photo, and knows lenses, not the other filters.
  get live() { return !!this.stage.preview?.ready && this.looks.value.method === 'thin-lens' }

  async #live(value) {
    const { preview } = this.stage
    if (value.full) await preview?.open(value.photo, value.live)
    else await preview?.mend(value.live)
    this.draw()
  }

  draw(at = this.stage.state.point) {
    if (this.live && at) this.stage.preview.draw(at, this.looks.value, at === this.stage.state.point)
    this.stage.draw()
  }

  async #do(name, values) { this.hear(await step('photo', name, values, (value) => this.stage.hear(value))) }

  #focus(at, why) {
    const { state } = this.stage
    this.aperture.follow()
    if (!state.photo) return
    if (this.live && (at || state.point)) {
      state.result ||= 'live'
      if (at) { state.view = 'result'; this.stage.preview.forget() }
      delete state.sharp?.result
      this.draw()
    } else this.stage.busy('Focusing')
    this.turns.add('focus ' + why, () => this.#do('focus', { at, look: this.looks.value, why, render: !this.live }))
  }

  #save(name, values, what) {
    this.stage.busy(what)
    this.turns.add(name, () => this.#do(name, values))
  }

  #panel() {
    const { state } = this.stage, now = state.photo ? state.stage : 'choose'
    for (const name of ['depth', 'focus', 'save']) find('panel-' + name).hidden = name !== now
    if (now !== 'focus' && this.stage.brush) this.#choose(null)
    const bar = this.stage.find('steps'), order = Object.keys(STEPS)
    bar.hidden = false
    bar.replaceChildren(...order.map((name, number) => {
      const item = document.createElement('li'), button = document.createElement('button'), count = document.createElement('b')
      button.type = 'button'; count.textContent = number + 1; count.setAttribute('aria-hidden', 'true')
      button.append(count, STEPS[name])
      if (name === now) button.setAttribute('aria-current', 'step')
      if (number < order.indexOf(now)) button.className = 'done'
      button.disabled = !state.photo
      button.onclick = () => this.go(name)
      item.append(button)
      return item
    }))
  }

  // ---- brushes
  #brushes() {
    for (const button of document.querySelectorAll('[data-brush]'))
      button.onclick = () => this.#choose(this.stage.brush?.kind === button.dataset.brush ? null : button.dataset.brush)
    find('brush-size').querySelector('input').oninput = (event) => {
      if (this.stage.brush) this.stage.brush.radius = Number(event.target.value) / 100
    }
  }

  #choose(kind) {
    const size = find('brush-size')
    this.stage.brush = kind && { kind, radius: Number(size.querySelector('input').value) / 100 }
    for (const button of document.querySelectorAll('[data-brush]'))
      button.setAttribute('aria-pressed', String(button.dataset.brush === kind))
    size.hidden = find('brush-hint').hidden = !kind
    find('brush-hint').textContent = kind ? BRUSHES[kind] : ''
    this.hover(null)
    this.stage.draw()
  }

  stroke(points) {
    const { kind, radius } = this.stage.brush
    this.stage.busy('Mending')
    this.turns.add(null, () => this.#do('mend', { kind, points, radius, look: this.looks.value, render: !this.live }))
  }

  // ---- keys of the whole tab
  #keys(event) {
    if (!this.stage.visible) return
    if ((event.ctrlKey || event.metaKey) && event.key === 'z' && !event.shiftKey && !event.target.closest('input[type=number]')) {
      if (!find('undo').disabled) find('undo').click()
      event.preventDefault()
    } else if (event.key === 'Escape' && this.stage.brush && !typing(event)) this.#choose(null)
  }

  // ---- what a click would give, while the pointer rests
  hover(at) {
    const mine = ++this.#asked, image = this.stage.find('glance'), { state } = this.stage
    clearTimeout(this.#resting)
    if (this.live) {
      if (at && this.#near(at)) at = null  // what was clicked stays, until the pointer goes elsewhere
      const shown = !!at && !this.stage.sheet.zoomed && ['photo', 'result'].includes(state.view) && state.stage === 'focus'
      if (shown || state.hovering) { state.hovering = shown; this.draw(shown ? at : state.point) }
      return
    }
    if (!at || this.stage.sheet.zoomed || !['photo', 'result'].includes(state.view)) { image.hidden = true; return }
    this.#resting = setTimeout(async () => {
      const answer = await fetch(`glance/${card.tokens.photo}?x=${at[0]}&y=${at[1]}`)
      if (mine !== this.#asked || answer.status !== 200) return
      const old = image.src
      image.src = URL.createObjectURL(await answer.blob())
      if (old.startsWith('blob:')) URL.revokeObjectURL(old)
      if (mine === this.#asked) image.hidden = false
    }, 90)
  }

  #near(at) {
    const { state, sheet } = this.stage
    return state.result && Math.hypot(...at.map((part, axis) => (part - state.point[axis]) * sheet.size[axis])) < 60
  }

  // ---- at full size, when the picture on the screen has fewer pixels than the screen
  zoomed() {
    const { state, sheet } = this.stage, view = state.view === 'photo' ? 'photo' : 'result'
    if (!state.full || state.sharp?.[view] || state.view === 'depth' || !state[view]) return
    if (sheet.scale * Math.sqrt(state.full[0] * state.full[1] / 750_000) < 1.3) return
    this.stage.busy('Making it at full size')
    this.turns.add('full', () => this.#do('full', { view }))
  }
}
