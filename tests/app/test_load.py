"""Many people at once: nobody's picture is lost or swapped, and how long each had to wait."""

import statistics
import time
from typing import Any

import pytest
from visiting import PATIENCE, Server

PEOPLE, SECONDS = 20, 60

# One person at work: again and again another picture in a colour of their own, its depth, three clicks, each looked at.
# The picture has stripes, so that every result differs from the last and blur has something to do.
ROBOT = """async ([hue, seconds]) => {
  const stage = document.querySelector('#stage-photo'), find = (name) => stage.querySelector('.' + name)
  const end = performance.now() + 1000 * seconds
  const report = { depth: [], click: [], strange: [] }
  const until = async (true_, what) => {
    const latest = performance.now() + 300000
    while (!true_()) {
      if (performance.now() > latest) throw new Error(`${what} did not come in five minutes`)
      await new Promise((done) => setTimeout(done, 40))
    }
  }
  const drawn = async (round) => {
    const canvas = new OffscreenCanvas(360, 240), brush = canvas.getContext('2d')
    for (let n = 0; n < 30; n++) {
      brush.fillStyle = `hsl(${hue} 80% ${35 + (n * 7 + round) % 30}%)`
      brush.fillRect(n * 12, 0, 12, 240)
    }
    return new File([await canvas.convertToBlob()], `mine-${hue}.png`, { type: 'image/png' })
  }
  const mine = async (address) => {
    const bitmap = await createImageBitmap(await (await fetch(address)).blob())
    const brush = new OffscreenCanvas(1, 1).getContext('2d')
    brush.drawImage(bitmap, 0, 0, 1, 1)
    const [r, g, b] = brush.getImageData(0, 0, 1, 1).data, most = Math.max(r, g, b), span = most - Math.min(r, g, b)
    const sixth = most === r ? (g - b) / span : most === g ? (b - r) / span + 2 : (r - g) / span + 4
    const off = Math.abs((60 * sixth - hue + 540) % 360 - 180)
    if (off > 8) report.strange.push(`a picture of hue ${Math.round(60 * sixth)}, not ${hue}`)
  }
  const shown = (kind, old) => {
    const address = find('under').getAttribute('src') || ''
    if (!find('alert').hidden) throw new Error(find('alert').textContent)
    return address.includes('/' + kind) && address !== old && address
  }
  const waited = async (kind, act) => {
    const old = find('under').getAttribute('src'), start = performance.now()
    await act()
    await until(() => shown(kind, old), kind)
    report[kind === 'depth' ? 'depth' : 'click'].push(performance.now() - start)
    return shown(kind, old)
  }
  for (let round = 0; performance.now() < end; round++) {
    const file = await drawn(round), data = new DataTransfer()
    data.items.add(file)
    const drop = new DragEvent('drop', { dataTransfer: data, bubbles: true })
    await waited('depth', () => find('drop').dispatchEvent(drop))
    for (const [x, y] of [[0.2, 0.3], [0.8, 0.7], [0.5, 0.5]]) {
      const box = find('under').getBoundingClientRect()
      const where = { clientX: box.left + x * box.width, clientY: box.top + y * box.height, bubbles: true }
      await mine(await waited('result', () => find('frame').dispatchEvent(new MouseEvent('click', where))))
    }
  }
  return report
}"""


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(1500)
def test_twenty_people_for_a_minute_lose_nothing(browser: Any, server: Server, capsys: pytest.CaptureFixture[str]):
    people = [browser.new_context() for _ in range(PEOPLE)]
    pages = [one.new_page() for one in people]
    for page in pages:
        page.goto(server.address + "&preview=server", wait_until="commit")
    for page in pages:
        page.wait_for_selector("#stage-photo .limit:has-text('MB')", timeout=3 * PATIENCE)
    start = time.monotonic()
    for number, page in enumerate(pages):
        page.evaluate(f"(given) => {{ window.robot = ({ROBOT})(given).catch((error) => ({{ lost: String(error) }})) }}",
                      [number * 360 // PEOPLE, SECONDS])  # fmt: skip
    reports = [page.evaluate("() => window.robot") for page in pages]
    took = time.monotonic() - start
    for one in people:
        one.close()
    assert [report["lost"] for report in reports if "lost" in report] == []
    assert [strange for report in reports for strange in report["strange"]] == []
    assert min(len(report["click"]) for report in reports) >= 3, "everybody gets a turn"
    with capsys.disabled():
        print(f"\n{PEOPLE} people, {took:.0f} s: {told('depth', reports)}; {told('click', reports)}; nothing lost")


def told(kind: str, reports: list[dict]) -> str:
    """The latencies of one kind."""
    times = sorted(ms / 1000 for report in reports for ms in report[kind])
    late = times[int(0.95 * (len(times) - 1))]
    return f"{len(times)} x {kind}, median {statistics.median(times):.2f} s, 95 % under {late:.2f} s"
