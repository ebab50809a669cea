// A distant server: what passes in either direction arrives half a round trip later.
import { connect, createServer, type Socket } from 'node:net'

/** Listens on loopback in front of `url`; only time is added, so WebSockets pass as they are. */
export async function farAway(url: string, rttMs: number): Promise<{ url: string; close(): void }> {
  const { hostname, port } = new URL(url)
  const open = new Set<Socket>()
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ host: hostname, port: Number(port), noDelay: true })
    for (const [from, to] of [
      [near, far],
      [far, near],
    ]) {
      open.add(from)
      from.on('data', (bytes) => setTimeout(() => to.write(bytes), rttMs / 2))
      from.on('close', () => setTimeout(() => to.destroy(), rttMs / 2))
      from.on('error', () => to.destroy())
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port: own } = server.address() as { port: number }
  const close = () => {
    server.close()
    for (const socket of open) socket.destroy()
  }
  return { url: `ws://127.0.0.1:${own}`, close }
}
