// Where a client goes first: servers that share an address keep material each for itself, so a client that has some comes back
// to the one that it is at.
import type { MaterialStore } from './client-store.js'

/** Where most of what is kept under an address can be used: that address, or the one server's behind it. */
export async function homeOf(store: MaterialStore, address: string): Promise<string> {
  const counts = new Map<string, number>()
  for (const { server, home, expires, seed } of await store.list()) {
    seed.fill(0)
    const at = home || address
    if (server === address && expires > Date.now()) counts.set(at, (counts.get(at) ?? 0) + 1)
  }
  const [[most] = [address]] = [...counts].sort(([, a], [, b]) => b - a)
  return most
}

/** A server's home, if it is one for clients of this address: of the same host or below it. Else empty. */
export function homeWithin(address: string, home: string): string {
  const [from, to] = [address, home].map((url) => (URL.canParse(url) ? new URL(url) : undefined))
  if (!from || !to || !['ws:', 'wss:'].includes(to.protocol)) return ''
  return to.hostname === from.hostname || to.hostname.endsWith(`.${from.hostname}`) ? home : ''
}
