// Two parties in one thread, for tests, benchmarks and a helper that lives beside its server.
import type { Channel, ChannelOptions } from './channel.js'
import { detach, InboxChannel, printable } from './inbox.js'

class MemoryChannel extends InboxChannel {
  peer!: MemoryChannel
  #blocked = false

  protected override transmit(message: Uint8Array): void {
    this.peer.accept(detach(message))
  }

  protected override shut(reason: string): void {
    this.peer.peerGone(`closed the channel (${printable(reason)})`)
    this.settle()
  }

  protected override backlog(): number {
    return this.#blocked ? Infinity : 0
  }

  protected override hold(): void {
    this.peer.#blocked = true
  }

  protected override release(): void {
    this.peer.#blocked = false
  }
}

/** Two ends of one channel in this thread. A message is moved or copied, so the two sides never share a buffer. */
export function memoryPair(options: ChannelOptions = {}): [Channel, Channel] {
  const a = new MemoryChannel(options)
  const b = new MemoryChannel(options)
  a.peer = b
  b.peer = a
  return [a, b]
}
