// Both ways under each other, to one scale: the last picture of each on this network and setting.
import { byId, bytes, element, ms } from './elements.js'
import { sum, track } from './timeline.js'

const WAYS = { direct: 'This page computes', delegated: 'Delegated' }

const runs = new Map()

/** Another network or setting: nothing is comparable. */
export function forgetWays() {
  runs.clear()
  show()
}

/** @param way 'direct' or 'delegated'; @param steps what the picture cost, step by step; @param before bytes up beforehand */
export function showWay(way, steps, before) {
  runs.set(way, { steps, before })
  show()
}

function show() {
  const total = Math.max(...[...runs.values()].map(({ steps }) => sum(steps, 'ms')))
  const lines = Object.entries(WAYS).map(([way, name]) => {
    const run = runs.get(way)
    const line = element('div', { className: 'track' })
    if (run) track(line, run.steps.flatMap(partsFrom()), total)
    const told = element('span', { className: 'note' }, run ? inWords(run) : 'no picture yet')
    return element('li', { id: `way-${way}` }, element('strong', {}, name), line, told)
  })
  byId('ways').replaceChildren(...lines)
}

function inWords({ steps, before }) {
  const trips = sum(steps, 'flights') / 2
  const beforehand = before > 0 ? `, ${bytes(before)} up beforehand` : ''
  return (
    `${ms(sum(steps, 'ms'))} ms in ${trips} round trip${trips === 1 ? '' : 's'}; ` +
    `${bytes(sum(steps, 'up'))} up, ${bytes(sum(steps, 'down'))} down${beforehand}`
  )
}

/** A step's wait and work, where the steps before it end. */
function partsFrom() {
  let from = 0
  return (step) => {
    const [start, arrived] = [from, from + step.waiting]
    from += step.ms
    return [
      ['waiting', start, arrived],
      ['work', arrived, from],
    ]
  }
}
