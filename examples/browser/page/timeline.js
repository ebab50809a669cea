// One row per layer: bars while it runs, from the progress events; numbers once it has, from the client's own meter.
import { byId, element, kilobytes, ms } from './elements.js'

const COLUMNS = ['work', 'wait', 'up', 'down']

export class Timeline {
  #rows
  #started = 0
  #ends = []
  #drawing = 0

  constructor(plan) {
    this.#rows = plan.steps.map(({ id, out }) => {
      const track = element('div', { className: 'track' })
      const cells = COLUMNS.map(() => element('td', {}, '–'))
      const shape = element('span', { className: 'op' }, out[1] * out[2] === 1 ? `${out[0]}` : out.join('×'))
      const name = element('th', { scope: 'row' }, id, shape)
      return { track, cells, row: element('tr', {}, name, element('td', { className: 'bar' }, track), ...cells) }
    })
    byId('layers').replaceChildren(...this.#rows.map(({ row }) => row))
    byId('layers-sum').replaceChildren()
  }

  start() {
    this.#started = performance.now()
    this.#ends = []
    byId('layers-sum').replaceChildren()
    for (const { track, cells } of this.#rows) {
      track.replaceChildren()
      for (const cell of cells) cell.textContent = '–'
    }
  }

  /** Layer `step` (from 1) is done. Drawn once a frame, whatever the number of layers that end in it. */
  done(step) {
    this.#ends[step - 1] = performance.now() - this.#started
    this.#drawing ||= requestAnimationFrame(() => {
      this.#drawing = 0
      const total = this.#ends.at(-1) * Math.max(1, this.#rows.length / this.#ends.length)
      this.#ends.forEach((end, i) => {
        this.#bars(i, [['elapsed', this.#ends[i - 1] ?? 0, end]], total)
      })
    })
  }

  /** @param steps what the meter counted for this inference, by step */
  finish(steps) {
    cancelAnimationFrame(this.#drawing)
    this.#drawing = 0
    const total = sum(steps, 'ms')
    let from = 0
    steps.forEach((step, i) => {
      const arrived = from + step.waiting
      const end = from + step.ms
      // Within a layer the server's message is waited for, then answered.
      this.#bars(i, [['waiting', from, arrived], ['work', arrived, end]], total) // biome-ignore format: pairs
      from = end
      const numbers = figures(step)
      this.#rows[i].cells.forEach((cell, column) => {
        cell.textContent = numbers[column]
      })
    })
    const sums = Object.fromEntries(['ms', 'waiting', 'up', 'down'].map((key) => [key, sum(steps, key)]))
    const cells = figures(sums).map((text) => element('td', {}, text))
    const all = element('th', { scope: 'row' }, 'all layers')
    byId('layers-sum').replaceChildren(element('tr', {}, all, element('td', {}, `${ms(total)} ms`), ...cells))
    byId('layers-sum').querySelector('td').className = 'bar'
  }

  #bars(row, parts, total) {
    track(this.#rows[row].track, parts, total)
  }
}

/** Draws [name, from, to] of `total` in a track. */
export function track(track, parts, total) {
  const spans = parts.map(([name, from, to]) => {
    const span = element('span', { className: name })
    span.style.left = `${(100 * from) / total}%`
    span.style.width = `${(100 * (to - from)) / total}%`
    return span
  })
  track.replaceChildren(...spans)
}

export const sum = (steps, key) => steps.reduce((total, step) => total + step[key], 0)
const figures = ({ ms: all, waiting, up, down }) => [ms(all - waiting), ms(waiting), kilobytes(up), kilobytes(down)]

/** What one inference cost, step by step: the meter's report after it less the one before. */
export function stepsOf(plan, before, after) {
  const at = (entries, step, key) => entries?.find((entry) => entry.step === step)?.[key] ?? 0
  const between = (of, step, key) => at(of(after), step, key) - (before ? at(of(before), step, key) : 0)
  const server = ({ links }) => links.server.online.steps
  return plan.steps.map((_, step) => ({
    ms: between(({ milliseconds }) => milliseconds.online.steps, step, 'ms'),
    waiting: between(({ waiting }) => waiting.online.steps, step, 'ms'),
    up: between(server, step, 'bytesSent'),
    down: between(server, step, 'bytesReceived'),
    flights: between(server, step, 'flights'),
  }))
}
