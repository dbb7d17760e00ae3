// How the page talks to its server: its sessions, files on their way, steps, and what comes of them.

export const card = await ask('start', { method: 'POST' })

const STILL_RUNNING = 'the app does not answer. Is it still running?'

async function ask(address, options) {
  let answer
  try { answer = await fetch(address, options) } catch { return { error: 'The app does not answer. Is it still running?' } }
  try { return await answer.json() } catch { return { error: `The app answers with ${answer.status}; reload the page.` } }
}

// Do a step of a tab and return what is to be shown in the end; `progress` hears what comes before.
export async function step(tab, name, values = {}, progress = () => {}) {
  const token = card.tokens[tab]
  const body = { method: 'POST', body: JSON.stringify(values), headers: { 'content-type': 'application/json' } }
  let answer = await ask(`step/${token}/${name}`, body)
  while (answer.again) {
    progress(answer)
    answer = await ask(`step/${token}/${name}`, body)
  }
  while (answer.job) {
    progress(answer)
    answer = await ask(`job/${token}/${answer.job}`)
  }
  return answer
}

let sending
// Send a file for a tab; `progress` hears which part of it has gone. Return a sentence if it was not taken.
export function upload(tab, file, word, progress) {
  if (file.size > card.megabytes * 1e6) {
    const size = digits(file.size / 1e6, card.megabytes)
    return Promise.resolve(`${file.name} is ${size} MB, the limit is ${card.megabytes} MB; give a smaller file.`)
  }
  const request = new XMLHttpRequest()
  sending?.abort()
  sending = request
  return new Promise((done) => {
    request.open('POST', `upload/${card.tokens[tab]}?name=${encodeURIComponent(file.name)}`)
    request.upload.onprogress = (event) => progress(event.loaded / event.total)
    request.onload = () => {
      let answer = {}
      try { answer = JSON.parse(request.responseText) } catch { /* no sentence came */ }
      done(request.status === 200 ? '' : answer.error || `The ${word} did not arrive (${request.status}); try again.`)
    }
    request.onerror = () => done(`The ${word} did not arrive: ${STILL_RUNNING}`)
    request.send(file)
  })
}

// As many digits as it takes to see that `size` is more than `most`.
function digits(size, most) {
  for (let count = 0; count < 6; count++) if (Number(size.toFixed(count)) > most) return size.toFixed(count)
  return size.toFixed(6)
}

// The steps of one tab, one after the other. Of several of one kind that wait, only the last is done; null: all.
export class Turns {
  #waiting = []
  #busy = false

  add(kind, run) {
    const same = kind ? this.#waiting.findIndex((one) => one.kind === kind) : -1
    if (same >= 0) this.#waiting.splice(same, 1)
    this.#waiting.push({ kind, run })
    if (!this.#busy) this.#go()
  }

  get busy() { return this.#busy }

  async #go() {
    this.#busy = true
    while (this.#waiting.length) {
      try { await this.#waiting.shift().run() } catch (error) { console.error(error) }
    }
    this.#busy = false
  }
}

// The page says that it is open, so that its pictures are kept, and goodbye.
const tokens = Object.values(card.tokens || {})
const here = () => { for (const token of tokens) fetch(`here/${token}`, { method: 'POST' }).catch(() => {}) }
here()
setInterval(here, 60000)
addEventListener('pagehide', (event) => {
  if (!event.persisted) for (const token of tokens) navigator.sendBeacon(`leave/${token}`)
})
