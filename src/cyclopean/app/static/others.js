// The tabs for clips, panoramas and metres.
import { card, step, Turns } from './server.js'
import { Looks } from './controls.js'
import { Stage } from './stage.js'

const find = (id) => document.getElementById(id)

class Tab {
  turns = new Turns()

  constructor(kind, panel, shown) {
    this.stage = new Stage(kind, this)
    this.session = this.stage.session
    this.panel = find(panel)
    this.shown = shown
  }

  ask(name, values, kind = name) { this.turns.add(kind, () => this.now(name, values)) }

  async now(name, values) { this.hear(await step(this.session, name, values, (value) => this.stage.hear(value))) }

  hear(value) {
    this.stage.hear(value)
    if (this.shown) this.panel.hidden = !this.stage.state.photo || !this.shown.includes(this.stage.state.stage)
  }
}

export class VideoTab extends Tab {
  constructor() {
    super('video', 'panel-video', ['focus'])
    this.looks = new Looks(document.querySelector('.looks[data-for=video]'), 'video-', () => {})
    const [number, slide] = find('moment').querySelectorAll('input')
    this.moment = { number, slide }
    const moved = (from) => {
      this.seconds = Math.min(Number(slide.max), Math.max(0, Number(from.value) || 0))
      this.ask('moment', { seconds: this.seconds })
    }
    slide.oninput = () => moved(slide)
    number.onchange = () => moved(number)
    find('forget').onclick = () => this.ask('clear_keys')
    find('another-clip').onclick = () => this.ask('go', { step: 'choose' })
    find('film').onclick = () => this.now('film', { look: this.looks.value, follow: find('follow').checked })
    find('stop').onclick = () => step(this.session, 'stop')
  }

  get seconds() { return Number(this.moment.number.value) || 0 }
  set seconds(value) { this.moment.number.value = this.moment.slide.value = value }

  arrived() { this.ask('open_clip') }
  point(at) { this.ask('key', { at, seconds: this.seconds }) }

  hear(value) {
    if (value.seconds !== undefined) {
      this.moment.slide.max = this.moment.number.max = Math.max(Math.ceil(10 * value.seconds) / 10, 0.1)
      this.seconds = 0
    }
    super.hear(value)
  }
}

export class PanoramaTab extends Tab {
  constructor() {
    super('panorama', 'panel-panorama', ['depth'])
    find('save-panorama').onclick = () => { this.stage.busy('Writing depth and points'); this.ask('save_panorama') }
    find('another-panorama').onclick = () => this.ask('go', { step: 'choose' })
  }

  arrived() { this.ask('open_panorama') }
}

// Lengths in the photo of the first tab, `photo`.
export class MeasureTab extends Tab {
  constructor(photo) {
    super('measure', 'panel-measure', null)
    this.photo = photo
    this.turns = photo.turns  // they share a session
    const metres = (id) => { const text = find(id).querySelector('input').value; return text === '' ? null : Number(text) }
    find('use-distance').onclick = () => this.ask('set_distance', { metres: metres('distance') })
    find('use-height').onclick = () => this.ask('set_height', { metres: metres('height') })
    find('use-distances').onclick = () => this.ask('set_distances', { first: metres('first-distance'), second: metres('second-distance') })
    this.stage.examples(card.examples)
  }

  opened() { this.ask('photo_again') }
  arrived() { this.ask('open_measured') }
  example(number) { this.ask('example', { number }, 'open_measured') }
  point(_, points) { this.ask('measure', { points }) }

  hear(value) {
    if (value.distances) this.photo.aperture.distances(value.distances)
    if (value.full && value.look) this.photo.hear({ ...value, stage: 'depth' })
    super.hear(value.full && value.look ? { ...value, stage: 'measure' } : value)
  }
}
