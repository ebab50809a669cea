// A channel over a MessagePort or a Worker, in browsers and in node:worker_threads. Buffers are transferred, not copied.
// Besides messages (Uint8Array) three notes travel: the close notice, which not every platform raises by itself, and
// hold / release, because a port has no flow control of its own.
import { RingfenceError } from '../errors.js'
import type { Channel, ChannelOptions } from './channel.js'
import { InboxChannel, ownsBuffer, printable } from './inbox.js'

/** What MessagePort, Worker and DedicatedWorkerGlobalScope have in common, with EventTarget or EventEmitter events. */
export interface PortLike {
  /** As of a MessagePort. */
  postMessage(message: unknown, transfer: ArrayBuffer[]): void
  /** Where events come as of an EventTarget. */
  addEventListener?(type: string, listener: (event: { data: unknown }) => void): void
  /** Where events come as of an EventEmitter. */
  on?(type: string, listener: (data: unknown) => void): unknown
  /** A MessagePort delivers nothing before it is started. */
  start?(): void
  /** Called when the channel closes; a worker has none and lives on. */
  close?(): void
}

type Note = { note: 'close'; reason: string } | { note: 'hold' | 'release' }

class PortChannel extends InboxChannel {
  readonly #port: PortLike
  #blocked = false

  constructor(port: PortLike, options: ChannelOptions) {
    super(options)
    this.#port = port
    const onMessage = (data: unknown) => this.#arrived(data)
    const onGone = () => this.peerGone('is gone: its port or worker ended')
    const onBroken = () => this.#broken()
    if (port.on !== undefined) {
      port.on('message', onMessage)
      port.on('messageerror', onBroken)
      port.on('close', onGone)
      port.on('exit', onGone)
    } else {
      port.addEventListener?.('message', ({ data }) => onMessage(data))
      port.addEventListener?.('messageerror', onBroken)
      port.addEventListener?.('close', onGone)
    }
    port.start?.()
  }

  protected override transmit(message: Uint8Array): void {
    const own = ownsBuffer(message) ? message : new Uint8Array(message)
    this.#port.postMessage(own, [own.buffer as ArrayBuffer])
  }

  protected override shut(reason: string): void {
    this.#note({ note: 'close', reason })
    this.#end()
  }

  protected override backlog(): number {
    return this.#blocked ? Infinity : 0
  }

  protected override hold(): void {
    this.#note({ note: 'hold' })
  }

  protected override release(): void {
    if (!this.ended) this.#note({ note: 'release' })
  }

  #arrived(data: unknown): void {
    if (data instanceof Uint8Array) this.accept(data)
    else if (!isNote(data)) this.#broken()
    else if (data.note === 'close') {
      this.peerGone(`closed the channel (${printable(data.reason)})`)
      this.#end()
    } else this.#blocked = data.note === 'hold'
  }

  #broken(): void {
    this.fault(new RingfenceError('FRAME', 'expected a Uint8Array on the port, got something else'), 'not binary')
  }

  #note(note: Note): void {
    this.#port.postMessage(note, [])
  }

  #end(): void {
    // A worker's global scope has close() too, and it would end the worker.
    if (this.#port.start !== undefined) this.#port.close?.()
    this.settle()
  }
}

function isNote(data: unknown): data is Note {
  return typeof data === 'object' && data !== null && 'note' in data
}

/** A channel over one end of a MessagePort pair, over a Worker, or over `self` inside a worker. */
export function messagePortChannel(port: PortLike, options: ChannelOptions = {}): Channel {
  return new PortChannel(port, options)
}
