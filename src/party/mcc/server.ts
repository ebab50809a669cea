// The server on `mcc`: it stores what helper and clients deal ahead and uses it up, inference by inference.
import { RingfenceError } from '../../errors.js'
import { packedBytes } from '../../kernels/bits.js'
import { type Frame, Phase, type PhaseCode } from '../../net/index.js'
import type { MccPlan } from '../../plan/plan.js'
import { Kind } from '../../protocol/kinds.js'
import { materialBytes } from '../../protocol/mcc/inference.js'
import type { ClientSession, ServerBackend, ServerContext, SessionBackend } from '../backend.js'
import { BATCH_BYTES, decodeBatch, hex, ID_BYTES, INFERENCE_BYTES, readInference } from '../messages.js'
import { receivePieces } from '../transfer.js'
import { inputBytes, serveInference } from './server-inference.js'
import { MaterialStore } from './store.js'

export class MccServer implements ServerBackend {
  readonly requestBytes: number
  readonly store: MaterialStore
  lost: RingfenceError | undefined

  /** @param storeBytes memory for material that was dealt ahead */
  constructor(
    readonly context: ServerContext<MccPlan>,
    storeBytes: number,
  ) {
    const { k, planned, compiled } = context
    this.requestBytes = Math.max(inputBytes(planned), BATCH_BYTES)
    this.store = new MaterialStore(k, planned, compiled.model, storeBytes)
  }

  async attend(): Promise<never> {
    const forever = { deadlineMs: Number.POSITIVE_INFINITY }
    const { helper, planned } = this.context
    for (;;) {
      const head = await helper.receive(Kind.bundle, Phase.offline, 0, ID_BYTES + INFERENCE_BYTES, forever)
      const session = hex(head.subarray(0, ID_BYTES))
      const inference = readInference(head.subarray(ID_BYTES))
      for (const step of planned.steps) {
        const length = materialBytes(step, planned.plan.ring)
        const payload = await receivePieces(helper, Kind.material, Phase.offline, step.index, length)
        this.store.dealt(session, inference, step.index, payload)
      }
    }
  }

  helperLost(error: RingfenceError): void {
    this.lost = error
    this.store.fail(error)
  }

  async join(session: ClientSession): Promise<SessionBackend> {
    return new MccSession(this, session)
  }
}

class MccSession implements SessionBackend {
  constructor(
    private readonly server: MccServer,
    private readonly session: ClientSession,
  ) {}

  release(): void {
    this.server.store.forget(this.session.name)
  }

  async serve(frame: Frame): Promise<boolean> {
    const { payload } = frame
    if (is(frame, Kind.reserve, Phase.offline, BATCH_BYTES)) this.#reserve(payload)
    else if (is(frame, Kind.upload, Phase.offline, INFERENCE_BYTES)) await this.#upload(payload)
    else if (is(frame, Kind.input, Phase.online, inputBytes(this.server.context.planned))) await this.#infer(payload)
    else return false
    return true
  }

  #reserve(payload: Uint8Array): void {
    const { store, lost } = this.server
    if (lost) throw lost
    const { link, ledger, name } = this.session
    const { first, count } = decodeBatch(payload)
    const granted = Math.min(count, store.room)
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
    const { link, meter, sh, name } = this.session
    return serveInference({ k, planned, share, link, meter, sh }, payload, (inference) =>
      store.take(name, inference, deadlineMs),
    )
  }
}

const is = (frame: Frame, kind: number, phase: PhaseCode, bytes: number): boolean =>
  frame.kind === kind && frame.phase === phase && frame.step === 0 && frame.payload.byteLength === bytes
