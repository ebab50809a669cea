// The cost of one picture: on line measured for this one, beforehand the average of all that were prepared.
import { byId, bytes, element, ms } from './elements.js'
import { sum } from './timeline.js'

/**
 * @param steps of this inference; @param milliseconds on line
 * @param traffic the client's report; @param prepared how many inferences that is the cost of preparing
 * @param dealtBytes what the helper sent the server for one, as the server told; undefined when it did not
 */
export function showDirectCosts({ steps, milliseconds, traffic, prepared, dealtBytes }) {
  const { server, helper } = traffic.links
  const each = (total) => total / prepared
  show([
    ['time', `${ms(milliseconds)} ms`, `${ms(each(traffic.milliseconds.offline.total))} ms`],
    ['flights', `${sum(steps, 'flights')}`, '–'],
    ['you → server', size(sum(steps, 'up')), size(each(server.offline.bytesSent))],
    ['server → you', size(sum(steps, 'down')), size(each(server.offline.bytesReceived))],
    ['you → helper', '–', size(each(helper.offline.bytesSent))],
    ['helper → you', '–', size(each(helper.offline.bytesReceived))],
    ['helper → server', '–', dealtBytes ? size(dealtBytes) : 'not told'],
  ])
}

/** @param step the one request: what went up, how much of it to the delegate, what came down */
export function showDelegatedCosts([{ up, down, sealed, flights }], milliseconds) {
  show([
    ['time', `${ms(milliseconds)} ms`, '–'],
    ['flights', `${flights}`, '–'],
    ['you → server', size(up - sealed), '–'],
    ['server → you', size(down), '–'],
    ['you → delegate', size(sealed), '–'],
    ['you → helper', '–', '–'],
  ])
}

const size = (value) => (value > 0 ? bytes(value) : '–')

function show(rows) {
  const cells = (texts) => texts.map((text) => element('td', {}, text))
  const lines = rows.map(([name, ...texts]) =>
    element('tr', {}, element('th', { scope: 'row' }, name), ...cells(texts)),
  )
  byId('costs').replaceChildren(...lines)
  byId('cost').hidden = false
}
