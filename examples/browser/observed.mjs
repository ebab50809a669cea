// A party's end of a connection, or of a request, with two things added, for the page to show: a look at what arrives, and a
// delay.
import { setTimeout as wait } from 'node:timers/promises'

/** Codes of two kinds of frames, byte 4 of every message; payloads follow 8 bytes of header. */
export const Kind = { deal: 12, input: 21 }
export const payloadOf = (message) => message.subarray(8)

/** Hands every message that arrives to `look` as well. */
export function observed(channel, look) {
  return through(channel, {
    async receive(options) {
      const message = await channel.receive(options)
      look(message[4], message)
      return message
    },
  })
}

/** Lets messages wait before they leave, in order: all of a round trip's delay in one direction. */
export function delayed(channel, ms) {
  if (ms === 0) return channel
  return through(channel, {
    send: (message) => void setTimeout(() => channel.send(message), ms),
    close: (reason) => void setTimeout(() => channel.close(reason), ms),
  })
}

const through = (channel, changed) => ({
  send: (message) => channel.send(message),
  receive: (options) => channel.receive(options),
  drained: () => channel.drained(),
  close: (reason) => channel.close(reason),
  closed: channel.closed,
  ...changed,
})

/** The same for requests: `look` at each, and a round trip's delay before the answer. */
export const observedExchange = (exchange, rtt, look) => ({
  requestBytes: exchange.requestBytes,
  describe: () => exchange.describe(),
  async answer(request, call) {
    look(request)
    const answer = await exchange.answer(request, call)
    await wait(rtt)
    return answer
  },
})

/** What a page asked for in the address it connected to: `?viewer=NAME&rtt=MS&model=NAME`. */
export function wishes({ target }) {
  const { pathname: path, searchParams: query } = new URL(target, 'ws://party')
  const rtt = Number(query.get('rtt'))
  return { path, viewer: query.get('viewer'), rtt: rtt > 0 && rtt <= 1000 ? rtt : 0, query }
}

/** Tells the process that started this one, if one did. */
export const tell = (news) => void process.send?.(news)
