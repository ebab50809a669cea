// The half of a channel that is the same for every transport: the queue of arrived messages, the callers who wait for
// them, and the ways a channel ends. An adapter adds `transmit` and `shut` and reports what happens outside.
import { moreTime, RingfenceError } from '../errors.js'
import type { Channel, ChannelOptions, ReceiveOptions } from './channel.js'
import { deadlineClock } from './clock.js'

const MIB = 2 ** 20
const INBOX_LIMIT = 64 * MIB
/** Above this many waiting bytes the peer is asked to pause, where the transport can do that. */
const INBOX_HIGH = 8 * MIB
const OUTBOX_HIGH = 4 * MIB
/** What an empty message costs in memory, so that a flood of them meets the limit too. */
const MESSAGE_COST = 64
const MAX_TIMEOUT = 2 ** 31 - 1

interface Waiter {
  readonly deadlineMs: number
  /** When it gives up, by `deadlineClock`. */
  readonly due: number
  resolve(message: Uint8Array): void
  reject(error: RingfenceError): void
}

/** As Node and Deno have them; in a browser a timer is a number, and there is nothing to keep running. */
type Timer = ReturnType<typeof setTimeout> & { ref?(): void; unref?(): void }

export abstract class InboxChannel implements Channel {
  readonly closed: Promise<void>
  readonly #limit: number
  readonly #waiters = new Set<Waiter>() // in order of arrival
  #messages: Uint8Array[] = []
  #head = 0
  #bytes = 0
  #held = false
  #end: RingfenceError | undefined
  /**
   * Goes off when the first of the waiters is due or before. It outlives them, to serve those that follow: to set one for every
   * message and to take it back costs a browser as much as the message.
   */
  #alarm: Timer | undefined
  #alarmAt = Infinity
  #resolveClosed!: () => void

  constructor(options: ChannelOptions = {}) {
    this.#limit = options.inboxLimit ?? INBOX_LIMIT
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
  }

  /** Puts a message on the wire; called only before the end. */
  protected abstract transmit(message: Uint8Array): void

  /** Closes the transport behind what was transmitted, then calls `settle`; called once. */
  protected abstract shut(reason: string): void

  /** Bytes accepted by `transmit` that have not left yet. */
  protected backlog(): number {
    return 0
  }

  /** Called when the inbox is rather full and when there is room again. */
  protected hold(): void {}
  protected release(): void {}

  /** Whether the channel has ended, for whatever reason. */
  protected get ended(): boolean {
    return this.#end !== undefined
  }

  send(message: Uint8Array): void {
    if (this.#end === undefined) this.transmit(message)
  }

  receive(options: ReceiveOptions = {}): Promise<Uint8Array> {
    if (options.signal?.aborted) return Promise.reject(aborted(options.signal))
    if (this.#head < this.#messages.length) return Promise.resolve(this.#take())
    if (this.#end !== undefined) return Promise.reject(this.#end)
    return this.#wait(options)
  }

  async drained(): Promise<void> {
    while (this.#end === undefined && this.backlog() > OUTBOX_HIGH) await tick()
    if (this.#end !== undefined) throw this.#end
  }

  close(reason = 'done'): void {
    this.#messages = []
    this.#head = this.#bytes = 0
    this.fault(new RingfenceError('ABORTED', 'the channel was closed on this side; open a new one'), reason)
  }

  /** A message arrived; its buffer belongs to this side. */
  protected accept(message: Uint8Array): void {
    if (this.#end !== undefined) return
    const [waiter] = this.#waiters
    if (waiter !== undefined) {
      waiter.resolve(message)
      return
    }
    this.#messages.push(message)
    this.#bytes += message.byteLength + MESSAGE_COST
    if (this.#bytes > this.#limit) this.#overflow()
    else if (this.#bytes > INBOX_HIGH && !this.#held) {
      this.#held = true
      this.hold()
    }
  }

  /** The channel ends for a reason found on this side: receivers learn `error`, the peer `reason`. */
  protected fault(error: RingfenceError, reason: string): void {
    if (this.#end !== undefined) return
    this.#finish(error)
    this.shut(reason)
  }

  /** The peer closed or was lost; what arrived before can still be received. */
  protected peerGone(how: string): void {
    this.endWith(new RingfenceError('PEER_GONE', `the peer ${how}; connect again`))
  }

  /** The transport ended by itself, for this reason. */
  protected endWith(error: RingfenceError): void {
    if (this.#end === undefined) this.#finish(error)
    this.settle()
  }

  /** The transport is shut in both directions. */
  protected settle(): void {
    this.#resolveClosed()
  }

  #take(): Uint8Array {
    const message = this.#messages[this.#head++]
    this.#bytes -= message.byteLength + MESSAGE_COST
    if (this.#head === this.#messages.length) {
      this.#messages = []
      this.#head = 0
    } else if (this.#head >= 1024 && this.#head * 2 > this.#messages.length) {
      this.#messages = this.#messages.slice(this.#head)
      this.#head = 0
    }
    if (this.#held && this.#bytes < INBOX_HIGH / 2) {
      this.#held = false
      this.release()
    }
    return message
  }

  #wait({ signal, deadlineMs = Infinity }: ReceiveOptions): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        this.#waiters.delete(waiter)
        signal?.removeEventListener('abort', onAbort)
        for (const { due } of this.#waiters) if (due < Infinity) return
        this.#alarm?.unref?.()
      }
      const due = deadlineClock.now() + (deadlineMs || 0)
      const waiter: Waiter = {
        deadlineMs,
        due,
        resolve(message) {
          settle()
          resolve(message)
        },
        reject(error) {
          settle()
          reject(error)
        },
      }
      const onAbort = () => waiter.reject(aborted(signal!))
      signal?.addEventListener('abort', onAbort)
      this.#waiters.add(waiter)
      if (due < this.#alarmAt) this.#setAlarm(due)
      if (due < Infinity) this.#alarm?.ref?.()
    })
  }

  #setAlarm(at: number): void {
    clearTimeout(this.#alarm)
    this.#alarmAt = at
    const ms = Math.min(Math.max(0, at - deadlineClock.now()), MAX_TIMEOUT)
    this.#alarm = setTimeout(() => this.#giveUp(), Math.ceil(ms))
  }

  #giveUp(): void {
    this.#alarmAt = Infinity
    const now = deadlineClock.now()
    let next = Infinity
    for (const waiter of [...this.#waiters]) {
      if (waiter.due <= now) waiter.reject(late(waiter.deadlineMs))
      else next = Math.min(next, waiter.due)
    }
    if (next < Infinity) this.#setAlarm(next)
  }

  #overflow(): void {
    const message = `more than ${this.#limit} bytes wait to be received: the peer sends faster than the protocol allows`
    this.fault(new RingfenceError('FRAME', `${message}; receive sooner or raise inboxLimit`), 'inbox full')
  }

  #finish(error: RingfenceError): void {
    this.#end = error
    clearTimeout(this.#alarm)
    for (const waiter of [...this.#waiters]) waiter.reject(error)
  }
}

/** The message in a buffer that nobody else sees: moved when it fills its buffer, copied otherwise. */
export function detach(message: Uint8Array): Uint8Array<ArrayBuffer> {
  const { buffer } = message
  if (!ownsBuffer(message)) return new Uint8Array(message)
  return new Uint8Array(structuredClone(buffer, { transfer: [buffer as ArrayBuffer] }) as ArrayBuffer)
}

/** Whether a message is all of an ordinary buffer, so that moving it takes nothing else along. */
export function ownsBuffer(message: Uint8Array): boolean {
  return message.buffer instanceof ArrayBuffer && message.byteLength === message.buffer.byteLength
}

/** A peer's words, safe to print: at most 100 printable ASCII characters. */
export function printable(text: unknown): string {
  return typeof text === 'string' ? text.replace(/[^ -~]+/g, '?').slice(0, 100) : ''
}

function aborted(signal: AbortSignal): RingfenceError {
  return new RingfenceError('ABORTED', 'receiving was aborted by the caller', [], { cause: signal.reason })
}

function late(deadlineMs: number): RingfenceError {
  return new RingfenceError('DEADLINE', `no message within ${deadlineMs} ms; ${moreTime(deadlineMs)}`)
}

function tick(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1))
}
