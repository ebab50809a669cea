// A bar on stderr while something works; where nobody looks, one plain line per stage.
import { columnsOf, type Output, painter, shortened } from './terminal.js'

const REDRAW_MS = 60
const BAR_CELLS = 28
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉']

export class ProgressBar {
  readonly #out: Output
  readonly #live: boolean
  #drawn = 0
  #shown = false
  #stage = ''

  constructor(out: Output = process.stderr) {
    this.#out = out
    this.#live = out.isTTY === true && process.env.TERM !== 'dumb'
  }

  /** @param done 0 to 1 @param stage what is being done; a new one is a new line where there is no terminal */
  update(done: number, stage: string, detail = ''): void {
    const next = stage !== this.#stage
    this.#stage = stage
    if (!this.#live) {
      if (next) this.#out.write(`${stage} …\n`)
      return
    }
    const now = performance.now()
    if (!next && now - this.#drawn < REDRAW_MS) return
    this.#drawn = now
    this.#draw(Math.min(1, Math.max(0, done)), detail === '' ? stage : `${stage} · ${detail}`)
  }

  /** Removes the bar, so that other lines can be written. */
  clear(): void {
    if (this.#shown) this.#out.write('\r\x1b[2K\x1b[?25h')
    this.#shown = false
  }

  #draw(done: number, text: string): void {
    const paint = painter(this.#out)
    const cells = done * BAR_CELLS
    const full = Math.floor(cells)
    const part = EIGHTHS[Math.floor((cells - full) * 8)]
    const bar = '█'.repeat(full) + part
    const rest = ' '.repeat(Math.max(0, BAR_CELLS - full - part.length))
    const percent = `${Math.floor(done * 100)}`.padStart(3)
    const room = columnsOf(this.#out) - BAR_CELLS - 10
    this.#out.write(
      `\r\x1b[2K\x1b[?25l ${paint('cyan', bar)}${rest} ${percent} %  ${shortened(text, Math.max(8, room))}`,
    )
    this.#shown = true
  }
}
