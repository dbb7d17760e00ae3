// The controls of the blur, and named settings of them.
const SLIDERS = {
  amount: ['Amount of blur', 4, 0.05, 1], range: ['Depth of field', 0.5, 0.01, 0], highlights: ['Glow of highlights', 4, 0.1, 0],
}
const CHOICES = {
  shape: ['Shape of the blur', { Disc: 'disc', Ring: 'ring', Hexagon: 'polygon:6', Octagon: 'polygon:8', "Cat's eye": 'cateye' }],
  method: ['Method', { 'Thin lens': 'thin-lens', Gaussian: 'gaussian', Average: 'average', Median: 'median', Bilateral: 'bilateral' }],
}
export const PRESETS = {
  Natural: { amount: 1, range: 0, highlights: 0, shape: 'disc' },
  Portrait: { amount: 1.6, range: 0, highlights: 0.5, shape: 'disc' },
  'Close-up': { amount: 2.6, range: 0, highlights: 0.5, shape: 'polygon:8' },
  Lights: { amount: 2.2, range: 0, highlights: 3, shape: 'disc' },
  Vintage: { amount: 1.8, range: 0, highlights: 1.5, shape: 'cateye' },
}

// Controls inside `place`; `changed(name)` hears of every change. Clips go through the thin lens: they have no `method`.
export class Looks {
  #parts = {}

  constructor(place, prefix, changed) {
    const presets = document.createElement('div')
    presets.className = 'presets'; presets.setAttribute('role', 'group'); presets.setAttribute('aria-label', 'Presets')
    presets.append(...Object.entries(PRESETS).map(([name, values]) => {
      const button = document.createElement('button')
      button.type = 'button'; button.textContent = name
      button.onclick = () => { this.value = { ...this.value, ...values }; changed('preset') }
      return button
    }))
    const parts = Object.keys(SLIDERS).map((name) => this.#slider(name, prefix, changed))
    const choices = Object.keys(CHOICES).map((name) => this.#choice(name, prefix, changed))
    choices[1].hidden = prefix !== ''
    if (prefix === '') parts.splice(1, 0, this.#subject(changed))
    place.append(presets, ...parts.slice(0, -1), choices[0], parts.at(-1), choices[1])
  }

  get value() { return Object.fromEntries(Object.entries(this.#parts).map(([name, part]) => [name, part.get()])) }
  set value(look) { for (const [name, part] of Object.entries(this.#parts)) if (look[name] !== undefined) part.set(look[name]) }

  #slider(name, prefix, changed) {
    const [title, most, step, value] = SLIDERS[name], row = document.createElement('div'), label = document.createElement('label')
    const number = document.createElement('input'), slide = document.createElement('input')
    row.className = 'slider'; row.id = prefix + name
    number.type = 'number'; slide.type = 'range'
    number.id = `${prefix}${name}-number`; label.htmlFor = number.id; label.textContent = title
    slide.setAttribute('aria-label', title)
    for (const input of [number, slide]) { input.min = 0; input.max = most; input.step = step; input.value = value }
    number.step = 'any'
    const set = (exact) => { slide.value = exact; number.value = Number(Number(exact).toFixed(3)) }
    slide.oninput = () => { set(slide.value); changed(name) }
    number.onchange = () => { set(Math.min(most, Math.max(0, Number(number.value) || 0))); changed(name) }
    this.#parts[name] = { get: () => Number(number.value), set }
    row.append(label, number, slide)
    return row
  }

  #subject(changed) {
    const label = document.createElement('label'), box = document.createElement('input')
    label.className = 'check'; box.type = 'checkbox'; box.checked = true; box.id = 'subject'
    box.onchange = () => changed('subject')
    label.append(box, 'All of what I click is sharp')
    this.#parts.subject = { get: () => box.checked, set: (value) => { box.checked = value } }
    return label
  }

  #choice(name, prefix, changed) {
    const [title, values] = CHOICES[name], label = document.createElement('label'), select = document.createElement('select')
    select.id = prefix + name
    select.append(...Object.entries(values).map(([text, value]) => new Option(text, value)))
    select.onchange = () => changed(name)
    label.append(title + ' ', select)
    this.#parts[name] = { get: () => select.value, set: (value) => { select.value = value } }
    return label
  }
}

const PART = 0.012  // of the diagonal, as in lens.py: the radius that amount 1 gives a difference of the whole range of depth

// The f-number of a full-frame lens that blurs as an amount does, if the picture goes from the nearest to the farthest.
export class Aperture {
  #lens = { f_number: null, focal: 50 }
  #full = [3, 2]

  constructor(looks, changed) {
    this.looks = looks
    const find = (id) => document.getElementById(id)
    this.number = find('aperture'); this.ends = [find('nearest'), find('farthest')]; this.taken = find('taken')
    this.number.onchange = () => {
      if (Number(this.number.value) > 0) looks.value = { ...looks.value, amount: Math.min(4, this.#one() / Number(this.number.value)) }
      changed('amount')
    }
    for (const end of this.ends) end.onchange = () => this.follow()
  }

  open(lens, full) {
    this.#lens = lens; this.#full = full
    this.taken.textContent = (lens.f_number ? `Taken at f/${Number(lens.f_number.toFixed(1))}. ` : '') +
      `A lens of ${Math.round(lens.focal)} mm on a full-frame camera.`
    this.follow()
  }

  distances([nearest, farthest]) {
    [this.ends[0].value, this.ends[1].value] = [nearest, farthest].map((end) => Number(end.toPrecision(3)))
    this.follow()
  }

  follow() { const { amount } = this.looks.value; this.number.value = amount > 0 ? Number((this.#one() / amount).toPrecision(2)) : '' }

  // The f-number of amount 1: a radius of blur of f^2 / N (1/nearest - 1/farthest) / 2, over that of the whole range.
  #one() {
    const [nearest, farthest] = this.ends.map((end) => Math.max(0.01, Number(end.value) || 1))
    const { focal } = this.#lens, [w, h] = this.#full
    return focal * focal / 1000 / 36 * Math.abs(1 / nearest - 1 / farthest) * Math.max(w, h) / 2 / (PART * Math.hypot(w, h))
  }
}
