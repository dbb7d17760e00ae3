// The page: its tabs, the choice of a model, what the machine lacks.
import { card, step } from './server.js'
import { PhotoTab } from './photo.js'
import { MeasureTab, PanoramaTab, VideoTab } from './others.js'

// The key has done its work: it is in a cookie now, and need not stand in the address.
const address = new URL(location)
if (address.searchParams.has('key')) {
  address.searchParams.delete('key')
  history.replaceState(null, '', address)
}

const warnings = document.getElementById('warnings')
const warn = (text) => {
  const line = document.createElement('p')
  line.className = 'warn'; line.textContent = text
  warnings.append(line)
}

if (card.error) warn(card.error)
else {
  card.warnings.forEach(warn)
  const photo = new PhotoTab()
  tabs({ photo, video: new VideoTab(), panorama: new PanoramaTab(), measure: new MeasureTab(photo) })
  models()
}

function tabs(all) {
  const buttons = [...document.querySelectorAll('[role=tab]')]
  const choose = (button) => {
    for (const one of buttons) {
      one.setAttribute('aria-selected', String(one === button))
      one.tabIndex = one === button ? 0 : -1
      document.getElementById(one.getAttribute('aria-controls')).hidden = one !== button
    }
    all[button.id.slice(4)]?.opened?.()
  }
  buttons.forEach((button, number) => {
    button.onclick = () => choose(button)
    button.onkeydown = (event) => {
      const to = { ArrowRight: number + 1, ArrowLeft: number - 1, Home: 0, End: -1 }[event.key]
      if (to === undefined) return
      const next = buttons.at(to % buttons.length)
      next.focus(); choose(next)
      event.preventDefault()
    }
  })
}

function models() {
  const select = document.getElementById('model')
  select.parentElement.hidden = card.models.length < 2
  select.append(...card.models.map((name) => new Option(name)))
  select.onchange = () => { for (const tab of Object.keys(card.tokens)) step(tab, 'model', { name: select.value }) }
}
