// The server on `mcc`: it stores what helper and clients deal ahead and uses it up, inference by inference.
import { RingfenceError } from '../../errors.js'
import { packedBytes } from '../../kernels/bits.js'
import { type Frame, type Link, Phase, type PhaseCode } from '../../net/index.js'
import type { MccPlan } from '../../plan/plan.js'
import { Kind } from '../../protocol/kinds.js'
import { materialBytes, releaseMaterial, type StepMaterial } from '../../protocol/mcc/inference.js'
import { spend } from '../allowance.js'
import type { ClientSession, ServerBackend, ServerContext, SessionBackend } from '../backend.js'
import {
  BATCH_BYTES,
  CLAIM_BYTES,
  decodeBatch,
  hex,
  ID_BYTES,
  INFERENCE_BYTES,
  RESUME_BYTES,
  readInference,
  TOKEN_BYTES,
} from '../messages.js'
import { receivePieces } from '../transfer.js'
import { type KeptSession, KeptSessions } from './kept-sessions.js'
import { inputBytes, serveInference } from './server-inference.js'
import { MaterialStore } from './store.js'

export class MccServer implements ServerBackend {
  readonly requestBytes: number
  readonly store: MaterialStore
  readonly kept: KeptSessions
  lost: RingfenceError | undefined
  #helper: Link

  /**
   * @param storeBytes memory for material that was dealt ahead
   * @param keepMs how long it outlives the connection of a client that asked for it
   */
  constructor(
    readonly context: ServerContext<MccPlan>,
    storeBytes: number,
    keepMs: number,
  ) {
    const { k, planned, compiled } = context
    this.#helper = context.helper
    this.requestBytes = Math.max(inputBytes(planned), BATCH_BYTES, RESUME_BYTES)
    this.store = new MaterialStore(k, planned, compiled.model, storeBytes)
    this.kept = new KeptSessions(k, this.store, keepMs)
  }

  get stored() {
    return this.store.status
  }

  get hasKept(): boolean {
    return this.kept.size > 0
  }

  release(): void {
    this.kept.release()
  }

  async attend(): Promise<never> {
    const forever = { deadlineMs: Number.POSITIVE_INFINITY }
    const { planned } = this.context
    const helper = this.#helper
    for (;;) {
      const head = await helper.receive(Kind.bundle, Phase.offline, 0, ID_BYTES + INFERENCE_BYTES, forever)
      const session = hex(head.subarray(0, ID_BYTES))
      const inference = readInference(head.subarray(ID_BYTES))
      const began = performance.now()
      for (const step of planned.steps) {
        const length = materialBytes(step, planned.plan.ring)
        const payload = await receivePieces(helper, Kind.material, Phase.offline, step.index, length)
        this.store.dealt(session, inference, step.index, payload)
      }
      this.context.onBundle?.(performance.now() - began)
    }
  }

  helperLost(error: RingfenceError): void {
    this.lost = error
    this.store.fail(error)
  }

  helperBack(helper: Link): void {
    this.#helper = helper
    this.lost = undefined
  }

  async join(session: ClientSession): Promise<SessionBackend> {
    return new MccSession(this, session)
  }
}

/** An inference of an earlier session, taken out of the store for the input that follows. */
interface Claimed {
  readonly kept: KeptSession
  readonly inference: number
  readonly material: StepMaterial[]
}

class MccSession implements SessionBackend {
  /** The kept sessions this connection may use, its own among them if it is kept. */
  readonly #held = new Map<string, KeptSession>()
  #claimed: Claimed | undefined

  constructor(
    private readonly server: MccServer,
    private readonly session: ClientSession,
  ) {}

  release(): void {
    this.#unclaim()
    for (const kept of this.#held.values()) this.server.kept.leave(kept)
    if (!this.#held.has(this.session.name)) this.server.store.forget(this.session.name)
  }

  async serve(frame: Frame): Promise<boolean> {
    const { payload } = frame
    if (is(frame, Kind.reserve, Phase.offline, BATCH_BYTES)) this.#reserve(payload)
    else if (is(frame, Kind.upload, Phase.offline, INFERENCE_BYTES)) await this.#upload(payload)
    else if (is(frame, Kind.input, Phase.online, inputBytes(this.server.context.planned))) await this.#infer(payload)
    else if (is(frame, Kind.keep, Phase.setup, 0)) this.#keep()
    else if (is(frame, Kind.resume, Phase.setup, RESUME_BYTES)) this.#resume(payload)
    else if (is(frame, Kind.claim, Phase.online, CLAIM_BYTES)) await this.#claim(payload)
    else return false
    return true
  }

  #keep(): void {
    const { link, name, sh } = this.session
    if (this.#held.has(name)) throw new RingfenceError('PROTOCOL', 'the client asked twice to keep its session')
    const answer = this.server.kept.keep(name, sh)
    if (answer) this.#held.set(name, answer.kept)
    link.send(Kind.kept, Phase.setup, 0, answer?.token ?? new Uint8Array(TOKEN_BYTES))
  }

  #resume(payload: Uint8Array): void {
    const name = hex(payload.subarray(0, ID_BYTES))
    const kept = this.#held.get(name) ?? this.server.kept.resume(name, payload.subarray(ID_BYTES))
    if (kept) this.#held.set(name, kept)
    this.session.link.send(Kind.resumed, Phase.setup, 0, new Uint8Array([kept ? 1 : 0]))
  }

  /** The client learns whether an inference is unused before it masks an input with it. */
  async #claim(payload: Uint8Array): Promise<void> {
    const { store, context } = this.server
    this.#unclaim()
    const kept = this.#held.get(hex(payload.subarray(0, ID_BYTES)))
    const inference = readInference(payload.subarray(ID_BYTES))
    if (kept) {
      try {
        this.#claimed = { kept, inference, material: await store.take(kept.name, inference, context.deadlineMs) }
      } catch {
        // Used, never dealt, or the helper left while it dealt: the client goes on with another.
      }
    }
    this.session.link.send(Kind.claimed, Phase.online, 0, new Uint8Array([this.#claimed ? 1 : 0]))
  }

  #unclaim(): void {
    this.#claimed?.material.forEach(releaseMaterial)
    this.#claimed = undefined
  }

  #reserve(payload: Uint8Array): void {
    const { store, lost } = this.server
    if (lost) throw lost
    const { link, ledger, name, peer } = this.session
    const { first, count } = decodeBatch(payload)
    this.server.kept.makeRoom(count)
    const room = Math.min(count, store.room)
    const granted = room > 0 ? spend(peer, room) : 0
    if (granted > 0) ledger.burn(first, granted)
    for (let i = 0; i < granted; i++) store.reserve(name, first + i)
    const answer = new Uint8Array(4)
    new DataView(answer.buffer).setUint32(0, granted, true)
    link.send(Kind.reserved, Phase.offline, 0, answer)
  }

  async #upload(payload: Uint8Array): Promise<void> {
    const { store, context } = this.server
    const { link, name } = this.session
    const inference = readInference(payload)
    if (!store.has(name, inference)) {
      throw new RingfenceError('MATERIAL_USED', `inference ${inference} was not reserved`)
    }
    const { plan, steps } = context.planned
    for (const step of steps) {
      const length = packedBytes(step.size, plan.ring)
      const delta = await receivePieces(link, Kind.delta, Phase.offline, step.index, length)
      store.uploaded(name, inference, step.index, delta)
    }
  }

  #infer(payload: Uint8Array): Promise<void> {
    const { store, context } = this.server
    const { k, planned, share, deadlineMs } = context
    const { link, meter, name } = this.session
    const claimed = this.#claimed
    this.#claimed = undefined
    const sh = claimed?.kept.sh ?? this.session.sh
    return serveInference({ k, planned, share, link, meter, sh }, payload, async (inference) => {
      if (!claimed) return store.take(name, inference, deadlineMs)
      if (claimed.inference === inference) return claimed.material
      claimed.material.forEach(releaseMaterial)
      throw new RingfenceError('PROTOCOL', `the client claimed inference ${claimed.inference} and starts ${inference}`)
    })
  }
}

const is = (frame: Frame, kind: number, phase: PhaseCode, bytes: number): boolean =>
  frame.kind === kind && frame.phase === phase && frame.step === 0 && frame.payload.byteLength === bytes
