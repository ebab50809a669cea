// A load balancer that a test turns.
import { type AddressInfo, createServer, connect as dial, type Socket } from 'node:net'

/** An address that leads to servers as its operator turns it. */
export async function balancer() {
  let port = 0
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = dial(port, '127.0.0.1')
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ]) {
      sockets.add(socket)
      socket.on('error', () => other.destroy()).on('close', () => other.destroy())
      socket.pipe(other)
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = () => {
    for (const socket of sockets) socket.destroy()
    return new Promise((resolve) => server.close(resolve))
  }
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    lead: (url: string) => {
      port = Number(new URL(url).port)
    },
    close,
  }
}
