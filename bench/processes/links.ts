// What a message costs its sender and its receiver, measured between two processes over a WebSocket on loopback.
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { connect } from '../../src/net/index.js'
import { listen } from '../../src/net/websocket-server.node.js'
import { leastSquares } from '../../src/tune/cost/least-squares.js'
import type { MachineModel } from '../../src/tune/cost/predict.js'
import { answer } from './parties.js'

const SIZES = [64, 2 ** 14, 2 ** 16, 2 ** 18, 2 ** 20, 2 ** 22]
const ROUNDS = 40

/** Half of a round trip of messages of one size is what sender and receiver spend on one, half of that each. */
export async function measureLinks(): Promise<MachineModel['link']> {
  const child = fork(fileURLToPath(import.meta.url), ['--echo'], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  try {
    const channel = await connect(await answer<string>(child))
    const times: number[] = []
    for (const size of SIZES) {
      const rounds: number[] = []
      for (let i = 0; i < ROUNDS; i++) {
        const message = new Uint8Array(size)
        const started = performance.now()
        channel.send(message)
        await channel.receive()
        rounds.push(performance.now() - started)
      }
      times.push((rounds.sort((a, b) => a - b)[ROUNDS >> 2] * 1e6) / 2)
    }
    channel.close()
    const [frame, byte] = leastSquares(
      SIZES.map((size) => [1, size]),
      times,
    )
    return { send: frame / 2, sendByte: byte / 2, receive: frame / 2, receiveByte: byte / 2 }
  } finally {
    child.kill()
  }
}

/** In a child: sends back what comes. */
export async function echoMessages(): Promise<void> {
  const { url } = await listen({
    host: '127.0.0.1',
    port: 0,
    onConnection: async (channel) => {
      try {
        for (;;) channel.send(new Uint8Array((await channel.receive()).byteLength))
      } catch {
        process.exit(0)
      }
    },
  })
  process.send!(url)
  process.once('disconnect', () => process.exit(0))
}
