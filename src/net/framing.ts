// Typed frames on a channel. A frame is one message: 8 bytes of header, little-endian, and a payload.
//   u32 payload length | u8 kind | u8 phase | u16 step
// The length repeats what the message's size says, so that a truncated or padded message is caught. The payload starts
// 8-byte aligned in the buffer, so ring words can be read where they lie.
import { moreTime, RingfenceError } from '../errors.js'
import { HEADER_BYTES, takeBuffer } from './bulk/kept-buffers.js'
import type { Channel, ReceiveOptions } from './channel.js'
import { failurePayload, peerFailure, readFailure } from './failure.js'
import type { Meter } from './meter.js'
import { PHASE_NAMES, Phase, type PhaseCode } from './phase.js'

/** The two kinds this layer keeps for itself: the peer failed and says with which code; it is alive and works on it. */
export const FAILURE_KIND = 255
export const ALIVE_KIND = 254
const MAX_STEP = 65_535
const FAILURE_MAX_BYTES = 32

export interface Frame {
  kind: number
  phase: PhaseCode
  step: number
  /** A view of the received message, 8-byte aligned. */
  payload: Uint8Array
}

export interface LinkOptions {
  /** Whom this link leads to, as error messages and the meter name it: `server`, `helper`, … */
  name: string
  meter?: Meter
  /** Default for every receive. */
  deadlineMs: number
  /** Most payload bytes of one frame, either way. */
  maxFrame: number
  /** The peer may let this side wait beyond the deadline, as long as it says that it is alive: for who asked, not for who serves. */
  patient?: boolean
}

/** How long to wait for a frame, and what is known of it. */
export interface NextOptions extends ReceiveOptions {
  /** Whether it is sent without waiting for anything that went out since the last frame came: then it is no flight more. */
  beside?: boolean
}

/** A channel with framing and a meter. */
export class Link {
  readonly name: string
  readonly #channel: Channel
  readonly #options: LinkOptions

  constructor(channel: Channel, options: LinkOptions) {
    this.#channel = channel
    this.#options = options
    this.name = options.name
  }

  get closed(): Promise<void> {
    return this.#channel.closed
  }

  /** Sends a copy of `payload`. */
  send(kind: number, phase: PhaseCode, step: number, payload: Uint8Array): void {
    const view = this.frame(kind, phase, step, payload.byteLength)
    view.set(payload)
    this.sendFrame(view)
  }

  /** A frame's payload, of whatever content, to be written in place and then given to `sendFrame`. */
  frame(kind: number, phase: PhaseCode, step: number, length: number): Uint8Array<ArrayBuffer> {
    this.#checkHeader(kind, step, length)
    return rawFrame(kind, phase, step, length)
  }

  /** Sends a frame made by `frame`; the view is not to be used again. */
  sendFrame(view: Uint8Array): void {
    const { buffer, byteOffset, byteLength } = view
    if (byteOffset !== HEADER_BYTES || buffer.byteLength !== HEADER_BYTES + byteLength) {
      throw new RingfenceError('BAD_INPUT', 'sendFrame takes, once, the whole view that frame() returned')
    }
    const header = new DataView(buffer, 0, HEADER_BYTES)
    const phase = header.getUint8(5) as PhaseCode
    this.#options.meter?.sent(this.name, phase, header.getUint16(6, true), buffer.byteLength)
    this.#channel.send(new Uint8Array(buffer))
  }

  /**
   * The payload of the next frame, which must be exactly this one.
   *
   * @param exactLength bytes, from the plan
   * @throws RingfenceError PROTOCOL for another kind, phase or step; FRAME for another length or a malformed frame;
   *   PEER_FAILED when the peer reports a failure instead (`cause` holds its code); and as `Channel.receive`
   */
  async receive(
    kind: number,
    phase: PhaseCode,
    step: number,
    exactLength: number,
    options?: NextOptions,
  ): Promise<Uint8Array> {
    const frame = await this.#next(() => describe(kind, phase, step), options)
    return this.expect(frame, kind, phase, step, exactLength)
  }

  /** As `receive`, or undefined when the peer sends, in its place, an empty frame of the kind `instead`. */
  async receiveUnless(
    instead: number,
    kind: number,
    phase: PhaseCode,
    step: number,
    exactLength: number,
    options?: NextOptions,
  ): Promise<Uint8Array | undefined> {
    const frame = await this.#next(() => describe(kind, phase, step), options)
    if (frame.kind === instead && frame.payload.byteLength === 0) return undefined
    return this.expect(frame, kind, phase, step, exactLength)
  }

  /** The payload of a frame that came, which must be exactly this one; errors as `receive`. */
  expect(frame: Frame, kind: number, phase: PhaseCode, step: number, exactLength: number): Uint8Array {
    if (frame.kind !== kind || frame.phase !== phase || frame.step !== step) {
      const came = describe(frame.kind, frame.phase, frame.step)
      throw new RingfenceError('PROTOCOL', `the ${this.name} sent ${came} where ${describe(kind, phase, step)} is due`)
    }
    if (frame.payload.byteLength !== exactLength) {
      const what = `${describe(kind, phase, step)} from the ${this.name}`
      throw new RingfenceError('FRAME', `${what}: expected ${exactLength} bytes, got ${frame.payload.byteLength}`)
    }
    return frame.payload
  }

  /** The next frame, whatever it is, of at most `maxLength` payload bytes. Errors as `receive`. */
  async receiveAny(maxLength: number, options?: ReceiveOptions): Promise<Frame> {
    const frame = await this.#next(() => 'a frame', options)
    if (frame.payload.byteLength > maxLength) {
      const what = `${describe(frame.kind, frame.phase, frame.step)} from the ${this.name}`
      throw new RingfenceError('FRAME', `${what}: at most ${maxLength} bytes are due, got ${frame.payload.byteLength}`)
    }
    return frame
  }

  /**
   * Resolves when the peer has read all but a few MiB of what was sent. A peer that stopped reading is as gone as one
   * that fell silent.
   *
   * @throws RingfenceError DEADLINE when the peer stops reading, PEER_FAILED, PEER_GONE, ABORTED
   */
  async drained({ deadlineMs = this.#options.deadlineMs, signal }: ReceiveOptions = {}): Promise<void> {
    let giveUp!: (error: RingfenceError) => void
    const stopped = new Promise<never>((_, reject) => {
      giveUp = reject
    })
    const onAbort = () => giveUp(new RingfenceError('ABORTED', `sending to the ${this.name} was aborted by the caller`))
    const onTimer = () =>
      giveUp(
        new RingfenceError(
          'DEADLINE',
          `the ${this.name} read nothing within ${deadlineMs} ms; ${moreTime(deadlineMs)}`,
        ),
      )
    if (signal?.aborted) onAbort()
    signal?.addEventListener('abort', onAbort)
    const timer = setTimeout(onTimer, deadlineMs)
    try {
      await Promise.race([stopped, this.#channel.drained()])
    } catch (error) {
      throw await this.#lastWords(error)
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
  }

  /** When a peer is gone: the failure it told before it closed, if it told one. */
  async #lastWords(error: unknown): Promise<unknown> {
    if (!(error instanceof RingfenceError && error.code === 'PEER_GONE')) return error
    try {
      for (;;) await this.receiveAny(Number.POSITIVE_INFINITY) // what else had arrived is of no use any more
    } catch (told) {
      return told instanceof RingfenceError && told.code !== 'PEER_GONE' ? told : error
    }
  }

  /** Tells a peer that waits that it is not forgotten; only a `patient` one takes it. */
  alive(): void {
    this.#channel.send(new Uint8Array(rawFrame(ALIVE_KIND, Phase.setup, 0, 0).buffer))
  }

  /** Tells the peer the error's code and when to come back, and nothing else of it, then closes. */
  fail(error: RingfenceError): void {
    const payload = failurePayload(error)
    const view = rawFrame(FAILURE_KIND, Phase.setup, 0, payload.byteLength)
    view.set(payload)
    this.sendFrame(view)
    this.#channel.close('failed')
  }

  close(): void {
    this.#channel.close()
  }

  async #next(expected: () => string, options: NextOptions = {}): Promise<Frame> {
    const { deadlineMs = this.#options.deadlineMs, signal, beside } = options
    const { meter } = this.#options
    const since = meter && performance.now()
    let message: Uint8Array
    try {
      do message = await this.#channel.receive({ deadlineMs, signal })
      while (this.#options.patient && isAlive(message))
    } catch (error) {
      throw this.#explain(error, expected())
    }
    if (since !== undefined) meter!.waited(since)
    const frame = this.#parse(message)
    meter?.received(this.name, frame.phase, frame.step, message.byteLength, beside)
    if (frame.kind === FAILURE_KIND) throw peerFailure(this.name, readFailure(frame.payload, FAILURE_MAX_BYTES))
    return frame
  }

  #parse(message: Uint8Array): Frame {
    const size = message.byteLength
    if (size < HEADER_BYTES) throw this.#malformed(`a header takes ${HEADER_BYTES} bytes, got a message of ${size}`)
    const header = new DataView(message.buffer, message.byteOffset, HEADER_BYTES)
    const length = header.getUint32(0, true)
    const phase = header.getUint8(5)
    if (length !== size - HEADER_BYTES) {
      throw this.#malformed(`its header says ${length} payload bytes, ${size - HEADER_BYTES} came`)
    }
    const { maxFrame } = this.#options
    if (length > maxFrame) throw this.#malformed(`at most ${maxFrame} payload bytes are allowed, got ${length}`)
    if (!(phase in PHASE_NAMES)) throw this.#malformed(`no phase has the code ${phase}`)
    const step = header.getUint16(6, true)
    const payload = message.subarray(HEADER_BYTES)
    return { kind: header.getUint8(4), phase: phase as PhaseCode, step, payload }
  }

  #checkHeader(kind: number, step: number, length: number): void {
    const { maxFrame } = this.#options
    if (kind >= 0 && kind < ALIVE_KIND && step >= 0 && step <= MAX_STEP && length <= maxFrame) return
    const limits = `kind 0-${ALIVE_KIND - 1}, step 0-${MAX_STEP} and at most maxFrame ${maxFrame} bytes`
    throw new RingfenceError('BAD_INPUT', `a frame has ${limits}; got kind ${kind}, step ${step}, ${length} bytes`)
  }

  #malformed(detail: string): RingfenceError {
    return new RingfenceError('FRAME', `malformed frame from the ${this.name}: ${detail}`)
  }

  #explain(error: unknown, expected: string): unknown {
    if (!(error instanceof RingfenceError)) return error
    const context = `waiting for ${expected} from the ${this.name}`
    return new RingfenceError(error.code, `${context}: ${error.message}`, [], { cause: error.cause })
  }
}

const isAlive = (message: Uint8Array): boolean => message.byteLength === HEADER_BYTES && message[4] === ALIVE_KIND

function describe(kind: number, phase: PhaseCode, step: number): string {
  return `frame kind ${kind} (${PHASE_NAMES[phase]}, step ${step})`
}

/** A frame's payload behind its filled-in header. */
function rawFrame(kind: number, phase: PhaseCode, step: number, length: number): Uint8Array<ArrayBuffer> {
  const buffer = takeBuffer(HEADER_BYTES + length)
  const header = new DataView(buffer)
  header.setUint32(0, length, true)
  header.setUint8(4, kind)
  header.setUint8(5, phase)
  header.setUint16(6, step, true)
  return new Uint8Array(buffer, HEADER_BYTES)
}
