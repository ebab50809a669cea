import { MessageChannel as NodeMessageChannel, Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { messagePortChannel, type PortLike } from '../../src/net/index.js'
import { channelCompliance, codeOf } from './compliance.js'

channelCompliance('MessagePort of node:worker_threads', {
  async open(options) {
    const { port1, port2 } = new NodeMessageChannel()
    return [
      messagePortChannel(port1 as unknown as PortLike, options),
      messagePortChannel(port2 as unknown as PortLike, options),
    ]
  },
})

/** Hides the EventEmitter side, so that a port looks as it does in a browser. */
function browserLike(port: MessagePort): PortLike {
  return {
    postMessage: (message, transfer) => port.postMessage(message, transfer),
    addEventListener: (type, listener) => port.addEventListener(type, listener as unknown as EventListener),
    start: () => port.start(),
    close: () => port.close(),
  }
}

channelCompliance('MessagePort with DOM events', {
  async open(options) {
    const { port1, port2 } = new MessageChannel()
    return [messagePortChannel(browserLike(port1), options), messagePortChannel(browserLike(port2), options)]
  },
})

test('a Worker echoes, and its end is PEER_GONE', async () => {
  const code = `const { parentPort } = require('node:worker_threads')
    parentPort.on('message', (m) => m instanceof Uint8Array ? m.length ? parentPort.postMessage(m, [m.buffer]) : process.exit() : 0)`
  const channel = messagePortChannel(new Worker(code, { eval: true }) as unknown as PortLike)
  channel.send(new Uint8Array([1, 2, 3]))
  expect([...(await channel.receive())]).toEqual([1, 2, 3])
  channel.send(new Uint8Array(0))
  expect(await codeOf(channel.receive({ deadlineMs: 60_000 }))).toBe('PEER_GONE')
})

test.each([['text'], [42], [null], [{ note: 'close', reason: '\u001b[31mred' }]])(
  'MessagePort: %j is no message',
  async (data) => {
    const { port1, port2 } = new NodeMessageChannel()
    const channel = messagePortChannel(port1 as unknown as PortLike)
    port2.postMessage(data)
    const error = await channel.receive({ deadlineMs: 60_000 }).catch((e) => e)
    expect(error.code).toBe(typeof data === 'object' && data !== null ? 'PEER_GONE' : 'FRAME')
    expect(error.message).not.toContain('\u001b')
    port2.close()
  },
)
