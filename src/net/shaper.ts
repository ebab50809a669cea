// Emulates a slow, distant network on any channel. Each direction is a wire: a message occupies it for bytes * 8 / rate,
// queued behind earlier ones, and arrives half a round trip after its last bit left. Wrapping one end shapes both ways.
import type { RingfenceError } from '../errors.js'
import type { Channel, ChannelOptions } from './channel.js'
import { type Clock, systemClock } from './clock.js'
import { InboxChannel } from './inbox.js'

/** A line between two parties, as it is emulated and as costs are predicted for it. */
export interface NetworkProfile {
  rttMs: number
  /** From the wrapped end to its peer. */
  upBitsPerSecond: number
  /** From the peer to the wrapped end. */
  downBitsPerSecond: number
}

export const networkProfiles = {
  lan: { rttMs: 0.2, upBitsPerSecond: 1e9, downBitsPerSecond: 1e9 },
  wan40: { rttMs: 40, upBitsPerSecond: 1e8, downBitsPerSecond: 1e8 },
  wan60: { rttMs: 60, upBitsPerSecond: 1e8, downBitsPerSecond: 1e8 },
  mobile80: { rttMs: 80, upBitsPerSecond: 2e7, downBitsPerSecond: 1e8 },
} as const satisfies Record<string, NetworkProfile>

/** What the emulated network holds on its way here before the sender is slowed down. */
const PIPE_BYTES = 4 * 2 ** 20

/** One direction. Deliveries happen in order, each at its time or as soon after it as the thread is free. */
class Wire {
  /** Bytes on their way. */
  bytes = 0
  readonly #rate: number
  readonly #delay: number
  readonly #clock: Clock
  readonly #queue: { due: number; bytes: number; deliver: () => void | Promise<void> }[] = []
  #free = 0
  #running = false

  constructor(bitsPerSecond: number, delayMs: number, clock: Clock) {
    this.#rate = bitsPerSecond / 1000
    this.#delay = delayMs
    this.#clock = clock
  }

  /** @param deliver must not reject */
  carry(bytes: number, deliver: () => void | Promise<void>): void {
    this.#free = Math.max(this.#clock.now(), this.#free) + (bytes * 8) / this.#rate
    this.bytes += bytes
    this.#queue.push({ due: this.#free + this.#delay, bytes, deliver })
    if (!this.#running) void this.#run()
  }

  async #run(): Promise<void> {
    this.#running = true
    while (this.#queue.length > 0) {
      const { due, bytes, deliver } = this.#queue[0]
      const wait = due - this.#clock.now()
      if (wait > 0) await this.#clock.sleep(wait)
      this.#queue.shift()
      this.bytes -= bytes
      await deliver()
    }
    this.#running = false
  }
}

class ShapedChannel extends InboxChannel {
  readonly #inner: Channel
  readonly #up: Wire
  readonly #down: Wire
  #held = false
  #wake: (() => void) | undefined

  constructor(inner: Channel, profile: NetworkProfile & ChannelOptions, clock: Clock) {
    super(profile)
    this.#inner = inner
    this.#up = new Wire(profile.upBitsPerSecond, profile.rttMs / 2, clock)
    this.#down = new Wire(profile.downBitsPerSecond, profile.rttMs / 2, clock)
    void this.#pull()
  }

  protected override transmit(message: Uint8Array): void {
    this.#up.carry(message.byteLength, () => {
      this.#inner.send(message)
      return this.#inner.drained().catch(() => {}) // the end of the inner channel is found by #pull
    })
  }

  protected override shut(reason: string): void {
    this.#wake?.()
    this.#up.carry(0, async () => {
      this.#inner.close(reason)
      await this.#inner.closed
      this.settle()
    })
  }

  protected override backlog(): number {
    return this.#up.bytes
  }

  protected override hold(): void {
    this.#held = true
  }

  protected override release(): void {
    this.#held = false
    this.#wake?.()
  }

  async #pull(): Promise<void> {
    try {
      while (!this.ended) {
        const message = await this.#inner.receive()
        this.#down.carry(message.byteLength, () => this.#arrived(message))
        while (!this.ended && (this.#held || this.#down.bytes > PIPE_BYTES)) await this.#moved()
      }
    } catch (error) {
      this.#down.carry(0, () => this.endWith(error as RingfenceError))
    }
  }

  #arrived(message: Uint8Array): void {
    this.accept(message)
    this.#wake?.()
  }

  #moved(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }
}

/**
 * `channel` as if `profile` lay between the two ends; wrap one end only, before the first message.
 * A sending thread that is busy computing delays its own deliveries, which a real network would not.
 */
export function shape(channel: Channel, profile: NetworkProfile & Partial<Clock> & ChannelOptions): Channel {
  const clock = { now: profile.now ?? systemClock.now, sleep: profile.sleep ?? systemClock.sleep }
  return new ShapedChannel(channel, profile, clock)
}
