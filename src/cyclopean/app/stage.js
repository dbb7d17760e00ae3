// The stage: choose a photo, look at it, point at it. Everything that is shown comes as one value from the server;
// everything that is done here leaves as 'arrived', 'example', 'point', 'measured' or 'go'.
const find = (name) => element.querySelector('.cy-' + name)
const state = { view: 'photo', cursor: [0.5, 0.5], seen: -1 }
const kind = element.querySelector('.cy-stage').dataset.kind
const word = { video: 'clip', panorama: 'panorama' }[kind] || 'photo'
const views = { photo: kind === 'video' ? 'Frame' : 'Photo', depth: 'Depth', result: 'Refocused', compare: 'Before / after',
  film: 'Refocused clip', space: 'In space' }
const flat = (view) => !['film', 'space'].includes(view)
const pointed = (view) => flat(view) && view !== 'compare' && kind !== 'panorama'
const frame = () => find('frame')

function show(name, visible) { find(name).hidden = !visible }

function say(sentence) {
  show('alert', !!sentence)
  find('alert').textContent = sentence || ''
  if (sentence && element.offsetParent !== null) find('alert').scrollIntoView({ block: 'nearest' })
}

function busy(what, part) {
  show('busy', !!what)
  find('what').textContent = what || ''
  const bar = find('bar').firstElementChild
  bar.style.width = part === undefined ? '' : Math.round(100 * part) + '%'
  bar.className = part === undefined ? 'cy-waiting' : ''
  element.querySelector('.cy-stage').setAttribute('aria-busy', String(!!what))
}

// ---- choosing -------------------------------------------------------------------------------------------------------
let sending
function send(file) {
  if (!file) return
  if (!state.token) return say('The page is still starting; try again in a second.')
  say('')
  if (file.size > state.megabytes * 1e6)
    return say(`${file.name} is ${digits(file.size / 1e6, state.megabytes)} MB, the limit is ${state.megabytes} MB; give a smaller file.`)
  busy('Sending ' + file.name, 0)
  const request = new XMLHttpRequest()
  sending?.abort(); sending = request
  request.open('POST', `upload/${state.token}?name=${encodeURIComponent(file.name)}`)
  request.upload.onprogress = (event) => busy('Sending ' + file.name, event.loaded / event.total)
  request.onload = () => {
    let answer = {}
    try { answer = JSON.parse(request.responseText) } catch { /* no sentence came */ }
    if (request.status === 200) { busy(kind === 'video' ? 'Looking at it' : 'Estimating its depth'); trigger('arrived') }
    else { busy(''); say(answer.error || `The ${word} did not arrive (${request.status}); try again.`) }
  }
  request.onerror = () => { busy(''); say(`The ${word} did not arrive: the app does not answer. Is it still running?`) }
  request.send(file)
}

// As many digits as it takes to see that `size` is more than `most`.
function digits(size, most) {
  for (let count = 0; count < 6; count++) if (Number(size.toFixed(count)) > most) return size.toFixed(count)
  return size.toFixed(6)
}

function choosing() {
  const drop = find('drop'), input = find('file')
  find('pick').onclick = () => input.click()
  input.onchange = () => { send(input.files[0]); input.value = '' }
  const stage = element.querySelector('.cy-stage')
  for (const name of ['dragenter', 'dragover'])
    stage.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add('cy-over-me') })
  for (const name of ['dragleave', 'drop'])
    stage.addEventListener(name, (event) => { event.preventDefault(); drop.classList.remove('cy-over-me') })
  stage.addEventListener('drop', (event) => send(event.dataTransfer.files[0]))
  document.addEventListener('paste', (event) => {
    if (element.isConnected && element.offsetParent !== null && event.clipboardData.files.length) send(event.clipboardData.files[0])
  })
  find('snap').onclick = camera
}

async function camera() {
  say('')
  if (!navigator.mediaDevices) { find('file').setAttribute('capture', 'environment'); return find('file').click() }
  const video = find('camera').querySelector('video')
  let stream
  try { stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment', width: { ideal: 3840 } } }) }
  catch (error) { return say('There is no camera that this page may use; allow it in the browser, or choose a photo.') }
  video.srcObject = stream
  await video.play()
  show('choose', false); show('camera', true)
  const end = () => { stream.getTracks().forEach((track) => track.stop()); show('camera', false); show('choose', true) }
  find('cancel').onclick = end
  find('take').onclick = () => {
    const canvas = document.createElement('canvas')
    const pixels = video.videoWidth * video.videoHeight, shrink = Math.min(1, Math.sqrt(state.megapixels * 1e6 / pixels))
    canvas.width = Math.floor(shrink * video.videoWidth); canvas.height = Math.floor(shrink * video.videoHeight)
    canvas.getContext('2d').drawImage(video, 0, 0, canvas.width, canvas.height)
    canvas.toBlob((blob) => { end(); send(new File([blob], 'camera.jpg', { type: 'image/jpeg' })) }, 'image/jpeg', 0.95)
  }
  find('take').focus()
}

function thumbnails(titles) {
  const row = find('thumbs')
  show('examples', titles.length > 0)
  row.replaceChildren(...titles.map((title, number) => {
    const button = document.createElement('button'), picture = document.createElement('img')
    button.type = 'button'; button.title = title; button.className = 'cy-thumb'
    picture.src = `example/${number}.jpg`; picture.alt = title
    button.append(picture)
    button.onclick = () => { say(''); busy(kind === 'video' ? 'Looking at it' : 'Estimating its depth'); trigger('example', { number }) }
    return button
  }))
}

// ---- looking --------------------------------------------------------------------------------------------------------
function available() {
  return Object.keys(views).filter((name) => (name === 'compare' ? state.result : state[name]))
}

function steps() {
  show('steps', !!state.steps)
  if (!state.steps) return
  const names = Object.keys(state.steps), now = names.indexOf(state.stage)
  find('steps').replaceChildren(...names.map((name, number) => {
    const item = document.createElement('li'), button = document.createElement('button'), badge = document.createElement('b')
    badge.textContent = number + 1
    button.type = 'button'; button.append(badge, ' ' + state.steps[name])
    if (number === now) button.setAttribute('aria-current', 'step')
    button.disabled = !state.photo && number > 0
    button.onclick = () => { if (number !== now) trigger('go', { step: name }) }
    item.append(button)
    return item
  }))
}

function draw() {
  const chosen = state.stage === 'choose' || !state.photo
  show('choose', chosen); show('show', !chosen)
  steps()
  set(find('film'), state.film); set(find('space'), state.view === 'space' ? state.space : '')
  if (chosen) return
  const bar = find('views')
  bar.hidden = available().length < 2
  bar.replaceChildren(...available().map((name) => {
    const button = document.createElement('button')
    button.type = 'button'; button.textContent = views[name]; button.dataset.view = name
    button.setAttribute('role', 'radio'); button.setAttribute('aria-checked', String(state.view === name))
    button.onclick = () => { state.view = name; draw() }
    return button
  }))
  show('frame', flat(state.view)); show('film', state.view === 'film'); show('space', state.view === 'space')
  const compare = state.view === 'compare'
  if (flat(state.view)) {
    set(find('under'), compare ? state.result : state[state.view])
    set(find('over'), compare ? state.photo : '')
  }
  find('over').hidden = !compare
  show('cut', compare); show('slide', compare); if (compare) cut()
  frame().dataset.view = pointed(state.view) ? 'point' : state.view
  frame().setAttribute('aria-label', `${state.name}, ${views[state.view]}. ` +
    (pointed(state.view) ? 'Arrow keys move a cross, Enter chooses the point.' : ''))
  marks()
  find('hint').textContent = hint()
  find('note').textContent = state.note || ''
}

function marks() {
  const points = !pointed(state.view) ? [] : kind === 'measure' ? state.points || [] : state.point ? [state.point] : []
  const dots = element.querySelectorAll('.cy-mark')
  dots.forEach((dot, number) => { dot.hidden = !points[number]; if (points[number]) place(dot, points[number]) })
  const line = find('line').firstElementChild
  find('line').toggleAttribute('hidden', points.length < 2)
  if (points.length === 2) points.forEach((at, number) => {
    line.setAttribute('x' + (number + 1), 100 * at[0] + '%'); line.setAttribute('y' + (number + 1), 100 * at[1] + '%')
  })
}

function set(image, address) {
  if (image.getAttribute('src') !== (address || '')) address ? image.setAttribute('src', address) : image.removeAttribute('src')
}

function hint() {
  if (state.view === 'compare') return 'Drag the line, or use the slider.'
  if (state.view === 'space') return 'Drag to look around.'
  if (state.view === 'film') return ''
  if (kind === 'measure') return 'Click two points whose distance you know.'
  if (kind === 'panorama') return state.view === 'depth' ? 'Bright is near, dark is far.' : ''
  if (state.view === 'depth') return 'Bright is near, dark is far. Click what shall be sharp.'
  return kind === 'video' ? 'Click what shall be sharp at this moment.' : 'Click what shall be sharp.'
}

function place(mark, at) { mark.style.left = 100 * at[0] + '%'; mark.style.top = 100 * at[1] + '%' }

function cut() {
  const part = Number(find('slide').querySelector('input').value)
  find('over').style.clipPath = `inset(0 ${100 - part}% 0 0)`
  find('cut').style.left = part + '%'
}

// ---- pointing -------------------------------------------------------------------------------------------------------
// The one place where the page measures a pointer: fractions of the shown picture from its top-left corner.
function fraction(event) {
  const box = find('under').getBoundingClientRect()
  const inside = (value) => Math.min(1, Math.max(0, value))
  return [inside((event.clientX - box.left) / box.width), inside((event.clientY - box.top) / box.height)]
}

function point(at) {
  state.cursor = at
  glance(null)
  if (kind === 'measure') {
    const earlier = state.points || []
    state.points = earlier.length === 1 ? [earlier[0], at] : [at]
    draw()
    return trigger('measured', { points: state.points })
  }
  state.point = at
  if (state.result) state.view = 'result'
  if (kind !== 'video') busy('Focusing')
  draw()
  trigger('point', { x: at[0], y: at[1] })
}

let asked = 0, resting = 0
async function glance(at) {
  const mine = ++asked
  clearTimeout(resting)
  if (!at || kind !== 'photo' || !['photo', 'result'].includes(state.view)) { find('glance').hidden = true; return }
  resting = setTimeout(async () => {
    const answer = await fetch(`glance/${state.token}?x=${at[0]}&y=${at[1]}`)
    if (mine !== asked || answer.status !== 200) return
    const image = find('glance'), old = image.src
    image.src = URL.createObjectURL(await answer.blob())
    if (old.startsWith('blob:')) URL.revokeObjectURL(old)
    if (mine === asked) image.hidden = false
  }, 90)
}

function pointing() {
  const box = frame(), slider = find('slide').querySelector('input')
  let dragging = false
  slider.oninput = cut
  box.addEventListener('pointerdown', (event) => {
    if (state.view !== 'compare') return
    dragging = true; box.setPointerCapture(event.pointerId); slider.value = 100 * fraction(event)[0]; cut()
  })
  box.addEventListener('pointermove', (event) => {
    if (dragging) { slider.value = 100 * fraction(event)[0]; cut() }
    else if (event.pointerType === 'mouse') glance(fraction(event))
  })
  box.addEventListener('pointerup', () => { dragging = false })
  box.addEventListener('pointerleave', () => glance(null))
  box.addEventListener('click', (event) => { if (pointed(state.view)) point(fraction(event)) })
  box.addEventListener('keydown', keys)
  box.addEventListener('blur', () => { find('cross').hidden = true })
}

function keys(event) {
  const step = event.shiftKey ? 0.1 : 0.02
  const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }
  if (event.key in moves && pointed(state.view)) {
    state.cursor = state.cursor.map((value, axis) => Math.min(1, Math.max(0, value + moves[event.key][axis])))
    find('cross').hidden = false; place(find('cross'), state.cursor)
  } else if (event.key in moves && state.view === 'compare') {
    const slider = find('slide').querySelector('input')
    slider.value = Number(slider.value) + 100 * moves[event.key][0]; cut()
  } else if ((event.key === 'Enter' || event.key === ' ') && pointed(state.view)) point(state.cursor)
  else return
  event.preventDefault()
}

// ---- what the server says -------------------------------------------------------------------------------------------
function hear(value) {
  if (!value) return
  if (value.unchanged) return busy('')
  busy(value.busy, value.part)
  if (value.part === undefined) say(value.error)  // how far a film is takes no sentence away
  if (value.stage === 'choose') for (const name of ['photo', 'depth', 'result', 'point', 'points', 'film', 'space', 'note']) delete state[name]
  if (value.depth) for (const name of ['result', 'point', 'points', 'film', 'space', 'note']) delete state[name]
  const earlier = { ...state }
  Object.assign(state, value)
  if (value.examples) thumbnails(value.examples)
  if (value.all) here()
  if (value.megabytes) find('limit').textContent = limits()
  if (value.stage === 'depth') state.view = 'depth'
  if (value.depth && kind === 'measure') state.view = 'photo'
  if (value.stage === 'focus' && state.view === 'depth') state.view = state.result ? 'result' : 'photo'
  if (value.stage === 'save') state.view = 'compare'
  if (value.result && !earlier.result) state.view = 'result'
  if (value.film) state.view = 'film'
  else if (value.photo && kind === 'video') state.view = 'photo'
  if (value.space) state.view = 'space'
  if (!available().includes(state.view)) state.view = 'photo'
  files(value)
  draw()
}

function limits() {
  const kinds = { video: 'MP4, MOV, MKV, WebM and more', panorama: 'Equirectangular: twice as wide as high' }[kind] ||
    'JPEG, PNG, HEIC, TIFF, WebP and more'
  const size = kind === 'video' ? '' : ` and ${state.megapixels} megapixels`
  return `${kinds}; up to ${state.megabytes} MB${size}. ` + (state.remote ? '' : 'It stays on this computer.')
}

function files(value) {
  if (!value.files && value.stage === undefined) return
  find('files').replaceChildren(...(value.files || []).map(link))
  if (value.fetch) link(value.fetch).click()
}

function link(file) {
  const anchor = document.createElement('a')
  anchor.href = file.url; anchor.download = file.name; anchor.textContent = file.name
  return anchor
}

choosing(); pointing()
// The first stage speaks for all: those of tabs that were never opened have not even begun. It says that the page is
// open, so that its pictures are kept, and goodbye.
const here = () => { for (const token of state.all || []) fetch(`here/${token}`, { method: 'POST' }).catch(() => {}) }
setInterval(here, 60000)
addEventListener('pagehide', (event) => {
  if (!event.persisted) for (const token of state.all || []) navigator.sendBeacon(`leave/${token}`)
})
if (kind === 'video') find('file').accept = 'video/*'
if (kind === 'video' || kind === 'panorama') show('snap', false)
element.querySelector('.cy-stage').parentElement.addEventListener('cy-idle', () => busy(''))
watch('value', () => hear(props.value))
hear(props.value)
