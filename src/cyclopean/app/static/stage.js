// The stage: choose a photo, look at it, point at it. What is shown comes as values from the server by `hear`; what is
// done here goes to the tab: `arrived`, `example`, `point`, `go`, `stroke`, `zoomed`.
import { card, upload } from './server.js'
import { Sheet } from './sheet.js'

const TEMPLATE = document.querySelector('#stage')
const OF_A_PICTURE = ['result', 'point', 'points', 'film', 'space', 'note', 'sharp', 'hovering']

export class Stage {
  constructor(kind, tab) {
    this.kind = kind
    this.tab = tab
    this.session = kind === 'measure' ? 'photo' : kind
    this.word = { video: 'clip', panorama: 'panorama' }[kind] || 'photo'
    this.names = {
      photo: kind === 'video' ? 'Frame' : 'Photo', depth: 'Depth', result: 'Refocused', compare: 'Before / after',
      film: 'Refocused clip', space: 'In space',
    }
    this.element = document.querySelector(`#stage-${kind}`)
    this.element.append(TEMPLATE.content.cloneNode(true))
    this.state = { stage: 'choose', view: 'photo', cursor: [0.5, 0.5] }
    this.sheet = new Sheet(this)
    for (const place of this.element.querySelectorAll('.word')) place.textContent = this.word
    this.#choosing()
    this.#comparing()
    this.#limits()
    this.draw()
  }

  find(name) { return this.element.querySelector('.' + name) }
  show(name, visible) { this.find(name).hidden = !visible }
  get visible() { return this.element.offsetParent !== null }
  get flat() { return !['film', 'space'].includes(this.state.view) }
  get pointed() { return this.flat && this.state.view !== 'compare' && this.kind !== 'panorama' }

  say(sentence) {
    this.show('alert', !!sentence)
    this.find('alert').textContent = sentence || ''
    if (sentence && this.visible) this.find('alert').scrollIntoView({ block: 'nearest' })
  }

  busy(what, part) {
    this.show('busy', !!what)
    this.find('what').textContent = what || ''
    const bar = this.find('gauge').firstElementChild
    bar.style.width = part === undefined ? '' : Math.round(100 * part) + '%'
    bar.className = part === undefined ? 'waiting' : ''
    this.element.setAttribute('aria-busy', String(!!what))
  }

  // ---- choosing
  async send(file) {
    if (!file) return
    this.say('')
    const name = 'Sending ' + file.name
    this.busy(name, 0)
    const refused = await upload(this.session, file, this.word, (part) => this.busy(name, part))
    if (refused) { this.busy(''); return this.say(refused) }
    this.busy(this.kind === 'video' ? 'Looking at it' : 'Estimating its depth')
    this.tab.arrived()
  }

  #choosing() {
    const input = this.find('file'), drop = this.find('drop')
    input.setAttribute('aria-label', this.word)
    input.accept = this.kind === 'video' ? 'video/*' : ''
    this.find('pick').onclick = () => input.click()
    input.onchange = () => { this.send(input.files[0]); input.value = '' }
    for (const name of ['dragenter', 'dragover'])
      this.element.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add('over-me') })
    for (const name of ['dragleave', 'drop'])
      this.element.addEventListener(name, (event) => { event.preventDefault(); drop.classList.remove('over-me') })
    this.element.addEventListener('drop', (event) => this.send(event.dataTransfer.files[0]))
    document.addEventListener('paste', (event) => {
      if (this.visible && event.clipboardData.files.length) this.send(event.clipboardData.files[0])
    })
    this.show('snap', !['video', 'panorama'].includes(this.kind))
    this.find('snap').onclick = () => this.#camera()
  }

  async #camera() {
    this.say('')
    const input = this.find('file')
    if (!navigator.mediaDevices) { input.setAttribute('capture', 'environment'); return input.click() }
    const video = this.find('camera').querySelector('video')
    let stream
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment', width: { ideal: 3840 } } })
    } catch { return this.say('There is no camera that this page may use; allow it in the browser, or choose a photo.') }
    video.srcObject = stream
    await video.play()
    this.show('choose', false); this.show('camera', true)
    const end = () => {
      stream.getTracks().forEach((track) => track.stop())
      this.show('camera', false); this.show('choose', true)
    }
    this.find('cancel').onclick = end
    this.find('camera').onkeydown = (event) => { if (event.key === 'Escape') end() }
    this.find('take').onclick = () => {
      const canvas = document.createElement('canvas'), pixels = video.videoWidth * video.videoHeight
      const shrink = Math.min(1, Math.sqrt(card.megapixels * 1e6 / pixels))
      canvas.width = Math.floor(shrink * video.videoWidth); canvas.height = Math.floor(shrink * video.videoHeight)
      canvas.getContext('2d').drawImage(video, 0, 0, canvas.width, canvas.height)
      canvas.toBlob((blob) => {
        end()
        this.send(new File([blob], 'camera.jpg', { type: 'image/jpeg' }))
      }, 'image/jpeg', 0.95)
    }
    this.find('take').focus()
  }

  examples(titles) {
    this.show('examples', titles.length > 0)
    this.find('thumbs').replaceChildren(...titles.map((title, number) => {
      const button = document.createElement('button'), picture = document.createElement('img')
      button.type = 'button'; button.title = title; button.className = 'thumb'
      picture.src = `example/${number}.jpg`; picture.alt = title
      button.append(picture)
      button.onclick = () => { this.say(''); this.busy('Estimating its depth'); this.tab.example(number) }
      return button
    }))
  }

  #limits() {
    const kinds = { video: 'MP4, MOV, MKV, WebM and more', panorama: 'Equirectangular: twice as wide as high' }[this.kind] ||
      'JPEG, PNG, HEIC, TIFF, WebP and more'
    const size = this.kind === 'video' ? '' : ` and ${card.megapixels} megapixels`
    this.find('limit').textContent = `${kinds}; up to ${card.megabytes} MB${size}. ` +
      (card.remote ? '' : 'It stays on this computer.')
  }

  // ---- looking
  available() {
    const { photo, depth, result, film, space } = this.state
    const order = this.kind === 'panorama' ? { space, photo, depth } : { photo, depth, result, compare: result, film }
    return Object.keys(order).filter((name) => order[name])
  }

  draw() {
    const { state } = this, chosen = state.stage === 'choose' || !state.photo
    this.show('choose', chosen); this.show('show', !chosen)
    this.element.parentElement.classList.toggle('empty', chosen && this.kind !== 'measure')
    set(this.find('film'), state.film); set(this.find('space'), state.view === 'space' ? state.space : '')
    if (chosen) return
    const names = this.available(), bar = this.find('views')
    bar.hidden = names.length < 2
    bar.replaceChildren(...names.map((name) => {
      const button = document.createElement('button')
      button.type = 'button'; button.textContent = this.names[name]; button.dataset.view = name
      button.setAttribute('aria-pressed', String(state.view === name))
      button.onclick = () => { state.view = name; this.draw(); this.find('views').querySelector(`[data-view=${name}]`).focus() }
      return button
    }))
    this.show('frame', this.flat); this.show('zoom', this.flat); this.show('film', state.view === 'film'); this.show('space', state.view === 'space')
    const compare = state.view === 'compare', before = state.before && state.result
    const sharp = (view) => this.sheet.zoomed && state.sharp?.[view]
    const address = (view) => sharp(view) || (state[view] === 'live' ? state.photo : state[view])
    const live = this.tab.live && this.flat && !sharp('result') && (state.hovering || (state.result && ['result', 'compare'].includes(state.view)))
    this.show('live', live)
    if (this.flat) {
      set(this.find('under'), compare ? address('result') : address(state.view))
      set(this.find('over'), compare || before ? address('photo') : '')
    }
    this.find('over').hidden = !(compare || before)
    this.show('before', !!state.result && this.flat && !compare)
    this.show('cut', compare); this.show('slide', compare); this.#cut(compare)
    const frame = this.find('frame')
    frame.dataset.view = this.pointed ? 'point' : state.view
    frame.setAttribute('aria-label', `${state.name}, ${this.names[state.view]}. ` +
      (this.pointed ? 'Arrow keys move a cross, Enter chooses the point.' : ''))
    this.sheet.draw()
    this.find('hint').textContent = this.#hint()
    this.find('note').textContent = state.note || ''
  }

  #hint() {
    const { view } = this.state
    if (view === 'compare') return 'Drag the line, or use the slider.'
    if (view === 'space') return 'Drag to look around.'
    if (view === 'film') return ''
    if (this.kind === 'measure') return 'Click two points whose distance you know.'
    if (this.kind === 'panorama') return view === 'depth' ? 'Bright is near, dark is far.' : ''
    if (this.brush) return 'Paint over what is wrong.'
    if (view === 'depth') return 'Bright is near, dark is far. Click what should be sharp.'
    return this.kind === 'video' ? 'Click what should be sharp at this moment.' : 'Click what should be sharp.'
  }

  #comparing() {
    const slider = this.find('slide').querySelector('input'), button = this.find('before')
    slider.oninput = () => this.#cut(true)
    const hold = (held) => {
      if (!!this.state.before === held) return
      this.state.before = held
      button.setAttribute('aria-pressed', String(held))
      this.draw()
    }
    button.setAttribute('aria-pressed', 'false')
    button.addEventListener('pointerdown', (event) => { button.setPointerCapture(event.pointerId); hold(true) })
    for (const name of ['pointerup', 'pointercancel', 'blur']) button.addEventListener(name, () => hold(false))
    button.addEventListener('keydown', (event) => { if (' Enter'.includes(event.key)) { event.preventDefault(); hold(true) } })
    button.addEventListener('keyup', () => hold(false))
    addEventListener('keydown', (event) => {
      if (event.key === 'b' && this.visible && !typing(event) && this.state.result && this.flat) hold(true)
    })
    addEventListener('keyup', (event) => { if (event.key === 'b') hold(false) })
  }

  // The line between before and after, at a part of the width, or where the slider says.
  cut(part) { this.find('slide').querySelector('input').value = 100 * part; this.#cut(true) }

  #cut(compare) {
    const part = Number(this.find('slide').querySelector('input').value)
    this.find('over').style.clipPath = compare ? `inset(0 ${100 - part}% 0 0)` : ''
    this.find('cut').style.left = part + '%'
  }

  // ---- pointing
  point(at) {
    const { state } = this
    state.cursor = at
    if (this.kind === 'measure') {
      const earlier = state.points || []
      state.points = earlier.length === 1 ? [earlier[0], at] : [at]
    } else {
      state.point = at
      if (state.result) state.view = 'result'
      if (this.kind !== 'video' && !this.tab.live) this.busy('Focusing')
    }
    this.draw()
    this.tab.point(at, state.points)
  }

  // ---- what the server says
  hear(value) {
    if (value.unchanged) return this.busy('')
    this.busy(value.busy, value.part)
    if (!value.busy) this.say(value.error)  // how far something is takes no sentence away
    const { state } = this, earlier = state.result
    if (value.stage === 'choose') for (const name of ['photo', 'depth', ...OF_A_PICTURE]) delete state[name]
    if (value.full) { for (const name of OF_A_PICTURE) delete state[name]; this.sheet.fit() }
    if ('result' in value) delete state.sharp?.result
    Object.assign(state, value, value.sharp && { sharp: { ...state.sharp, ...value.sharp } })
    if (value.stage === 'depth') state.view = 'depth'
    if (value.full && this.kind === 'measure') state.view = 'photo'
    if (value.stage === 'focus' && state.view === 'depth') state.view = state.result ? 'result' : 'photo'
    if (value.stage === 'save') state.view = 'compare'
    if (value.result && !earlier) state.view = 'result'
    if (value.film) state.view = 'film'
    else if (value.photo && this.kind === 'video') state.view = 'photo'
    if (value.space) state.view = 'space'
    if (!this.available().includes(state.view)) state.view = 'photo'
    if (value.files || value.stage !== undefined) {
      this.find('files').replaceChildren(...(value.files || []).map(link))
      if (value.fetch) link(value.fetch).click()
    }
    this.draw()
  }
}

export function typing(event) {
  return event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.('input:not([type=range]):not([type=checkbox]), select, textarea')
}

export function set(image, address) {
  if (image.getAttribute('src') !== (address || '')) address ? image.setAttribute('src', address) : image.removeAttribute('src')
}

function link(file) {
  const anchor = document.createElement('a')
  anchor.href = file.url; anchor.download = file.name; anchor.textContent = file.name
  return anchor
}
