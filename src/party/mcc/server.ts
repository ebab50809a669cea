// The server on `mcc`: it stores what helper and clients deal ahead and uses it up, inference by inference.
import { RingfenceError } from '../../errors.js'
import { type Frame, giveBuffer, type Link, Phase, type PhaseCode } from '../../net/index.js'
import { type MccPlan, planDigest } from '../../plan/plan.js'
import { Kind } from '../../protocol/kinds.js'
import { delegatedSizes } from '../../protocol/mcc/delegated.js'
import { guardTerms } from '../../protocol/mcc/guard/terms.js'
import { runServer } from '../../protocol/mcc/inference.js'
import { inputBytes } from '../../protocol/mcc/input.js'
import { firstPiece } from '../../protocol/pieces.js'
import { Admission, keptAlive, RUNNING, WAITING } from '../admission.js'
import { spend } from '../allowance.js'
import type { ClientSession, ServerBackend, ServerContext, SessionBackend } from '../backend.js'
import { runJoined } from '../delegated/join.js'
import { Owners } from '../delegated/owners.js'
import { GRANT_MS } from '../grant.js'
import {
  BATCH_BYTES,
  BUNDLE_BYTES,
  CLAIM_BYTES,
  decodeBatch,
  encodeReserved,
  GRANT_BYTES,
  hex,
  ID_BYTES,
  INFERENCE_BYTES,
  MAX_GRANT,
  RESUME_BYTES,
  type Reserved,
  readInference,
} from '../messages.js'
import { moreOf, receivePieces, receivePiecesUnless } from '../transfer.js'
import { Claims } from './claims.js'
import { Deliveries } from './deliveries.js'
import { type KeptSession, KeptSessions } from './kept-sessions.js'
import { allowance, Watch } from './reservations.js'
import { type Lack, MaterialStore } from './store.js'

/** A client whose turn it is to prepare and who sends nothing for that long ends it; what it has reserved it keeps. */
const TURN_MS = 2000

export interface StoreBounds {
  /** Memory for material that was dealt ahead. */
  readonly storeBytes: number
  /** Part of it that one principal may hold. */
  readonly storeShare: number
  /** How long material outlives the connection of a client that asked for it. */
  readonly keepMs: number
  /** Where their clients come back; empty: where they came. */
  readonly keptAt: string
}

export class MccServer implements ServerBackend {
  readonly requestBytes: number
  readonly inputBytes: number
  /** Of a delegate's half; none where the plan bounds no input. */
  readonly joinBytes: number
  readonly owners: Owners
  readonly store: MaterialStore
  readonly kept: KeptSessions
  lost: RingfenceError | undefined
  #helper: Link
  readonly #sessions = new Set<MccSession>()
  readonly deliveries: Deliveries

  /** Clients that prepare: the helper deals one inference at a time, so a few keep it busy. */
  readonly preparing = new Admission({ slots: 8, waiting: WAITING, typicalMs: 200 })
  /** Inferences on line. */
  readonly running: Admission

  constructor(
    readonly context: ServerContext<MccPlan>,
    readonly bounds: StoreBounds,
  ) {
    const { k, planned, bias } = context
    this.#helper = context.helper
    this.inputBytes = inputBytes(planned.plan, guardTerms(planned))
    const sizes = delegatedSizes(planned.plan)
    this.joinBytes = sizes?.joinBytes ?? -1
    this.owners = new Owners({ digest: planDigest(planned.plan), sizes })
    this.requestBytes = firstPiece(Math.max(this.inputBytes, this.joinBytes, BATCH_BYTES, RESUME_BYTES))
    this.store = new MaterialStore(k, planned, bias, bounds.storeBytes)
    this.kept = new KeptSessions(k, this.store, bounds.keepMs, bounds.keptAt)
    // What is used up needs as much memory as what is kept.
    this.running = new Admission({ slots: Math.min(RUNNING, this.store.places), waiting: WAITING })
    this.deliveries = new Deliveries(this.store, context.onBundle)
  }

  get stored() {
    return this.store.status
  }

  get waiting(): number {
    return this.preparing.waiting + this.running.waiting
  }

  get hasKept(): boolean {
    return this.kept.size > 0
  }

  release(): void {
    this.owners.end(new RingfenceError('PEER_GONE', 'the server ends; ask again later'))
    this.kept.release()
  }

  async attend(): Promise<never> {
    const forever = { deadlineMs: Number.POSITIVE_INFINITY }
    const helper = this.#helper
    for (;;) {
      const head = await helper.receive(Kind.bundle, Phase.offline, 0, BUNDLE_BYTES, forever)
      const session = hex(head.subarray(0, ID_BYTES))
      const inference = readInference(head.subarray(ID_BYTES))
      const began = performance.now()
      for (const [step, length] of this.store.lengths.helper.entries()) {
        const payload = await receivePiecesUnless(Kind.undealt, helper, Kind.material, Phase.offline, step, length)
        if (!payload) {
          const why = new RingfenceError('PEER_FAILED', `the helper could not deal inference ${inference}`)
          this.store.undealt(session, inference, why)
          break
        }
        this.store.dealt(session, inference, step, payload)
        giveBuffer(payload)
        if (step === this.store.lengths.helper.length - 1) this.context.onBundle?.(performance.now() - began)
      }
    }
  }

  helperLost(error: RingfenceError): void {
    this.lost = error
    this.store.helperLost(error)
  }

  helperBack(helper: Link): void {
    this.#helper = helper
    this.lost = undefined
  }

  async join(session: ClientSession): Promise<SessionBackend> {
    const joined = new MccSession(this, session)
    this.#sessions.add(joined)
    return joined
  }

  leave(session: MccSession): void {
    this.#sessions.delete(session)
  }

  /** A session whose client deviated: its material is gone, and so is every connection that could use it. */
  burn(name: string, error: RingfenceError): void {
    for (const session of this.#sessions) session.end(name, error)
    this.kept.end(name)
    this.store.forget(name)
  }
}

class MccSession implements SessionBackend {
  /** The kept sessions this connection may use, its own among them if it is kept. */
  readonly #held = new Map<string, KeptSession>()
  readonly #claims: Claims
  /** Ends what is reserved, or only the turn, once nothing comes. */
  readonly #reserved = new Watch(() => this.#lapse())
  readonly #turn = new Watch(() => this.#endTurn())
  /** Inferences that are reserved and not complete. */
  readonly #unfinished = new Set<number>()
  #left = false
  /** Ends this client's turn to prepare. */
  #leaveTurn: (() => void) | undefined
  engaged = false

  constructor(
    private readonly server: MccServer,
    private readonly session: ClientSession,
  ) {
    const { context, store } = server
    this.#claims = new Claims(context.k, store, context.deadlineMs)
    void session.link.closed.then(() => this.session.place.leave?.())
  }

  release(): void {
    this.#left = true
    this.server.leave(this)
    this.#lapsed()
    this.#claims.drop()
    for (const kept of this.#held.values()) this.server.kept.leave(kept)
    if (!this.#held.has(this.session.name)) this.server.store.forget(this.session.name)
  }

  async serve(frame: Frame): Promise<boolean> {
    const { payload } = frame
    if (is(frame, Kind.reserve, Phase.offline, BATCH_BYTES)) await this.#reserve(payload)
    else if (is(frame, Kind.upload, Phase.offline, INFERENCE_BYTES)) await this.#upload(payload)
    else if (is(frame, Kind.input, Phase.online, firstPiece(this.server.inputBytes))) await this.#infer(frame)
    else if (is(frame, Kind.join, Phase.online, firstPiece(this.server.joinBytes))) await this.#infer(frame)
    else if (is(frame, Kind.delegate, Phase.setup, 0)) this.#attend()
    else if (is(frame, Kind.offer, Phase.online, ID_BYTES)) this.server.owners.offer(payload, this.session.link)
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
    link.send(Kind.kept, Phase.setup, 0, this.server.kept.told(answer?.token))
  }

  #resume(payload: Uint8Array): void {
    const name = hex(payload.subarray(0, ID_BYTES))
    const kept = this.#held.get(name) ?? this.server.kept.resume(name, payload.subarray(ID_BYTES))
    if (kept) {
      this.#held.set(name, kept)
      this.engaged = true
    }
    this.session.link.send(Kind.resumed, Phase.setup, 0, new Uint8Array([kept ? 1 : 0]))
  }

  /** The client learns whether an inference is unused before it masks an input with it. */
  async #claim(payload: Uint8Array): Promise<void> {
    const kept = this.#held.get(hex(payload.subarray(0, ID_BYTES)))
    const claimed = await this.#claims.claim(kept, readInference(payload.subarray(ID_BYTES)))
    this.session.link.send(Kind.claimed, Phase.online, 0, new Uint8Array([claimed ? 1 : 0]))
  }

  /** Answers once it is this client's turn to prepare. */
  async #reserve(payload: Uint8Array): Promise<void> {
    const { preparing, context } = this.server
    const { link } = this.session
    const { first, count } = decodeBatch(payload)
    if (!this.#leaveTurn) {
      const { refusal } = preparing
      if (refusal) return this.#answer({ lack: 'BUSY', retryAfterMs: refusal.retryAfterMs! })
      this.#leaveTurn = await keptAlive(link, context.deadlineMs, () => preparing.enter(this.session.place))
      if (!this.#leaveTurn) return
    }
    const { lost } = this.server
    if (lost) throw lost
    const { granted, lack, retryAfterMs } = this.#grant(first, Math.min(count, MAX_GRANT))
    if (this.#unfinished.size === 0) this.#endTurn()
    if (lack) return this.#answer({ lack, retryAfterMs })
    if (granted === 0) return this.#answer({ lack: 'STORE_FULL', retryAfterMs: context.deadlineMs })
    this.#answer({ granted, grant: context.grants().issue(this.session.id, first, granted) })
  }

  #answer(answer: Partial<Reserved>): void {
    const nothing = { granted: 0, grant: new Uint8Array(GRANT_BYTES), lack: 'none' as const, retryAfterMs: 0 }
    this.session.link.send(Kind.reserved, Phase.offline, 0, encodeReserved({ ...nothing, ...answer }))
  }

  /** Reserves what this client may have; tells how many that are, or why its allowance gives none. */
  #grant(first: number, count: number): Pick<Reserved, 'granted'> & Partial<Reserved> {
    const { store, kept, bounds } = this.server
    const { ledger, name, owner, peer } = this.session
    kept.makeRoom(count)
    const room = allowance(store, { owner, principal: peer.principal }, bounds.storeShare, count)
    if (room === 0) return { granted: 0 }
    const allowed = spend(peer, room)
    const granted = Math.min(room, allowed.granted)
    if (granted === 0) {
      const { retryAfterMs } = allowed
      return { granted, lack: retryAfterMs === undefined ? 'UNAUTHORIZED' : 'BUSY', retryAfterMs: retryAfterMs ?? 0 }
    }
    ledger.burn(first, granted)
    for (let i = 0; i < granted; i++) {
      const inference = first + i
      this.#unfinished.add(inference)
      store.reserve(name, inference, owner, (lacks) => this.#progressed(inference, lacks))
    }
    this.engaged = true
    this.#watch('upload')
    return { granted }
  }

  #progressed(inference: number, lacks: Lack): void {
    if (this.#left) return
    if (lacks === 'nothing') this.#unfinished.delete(inference)
    if (this.#unfinished.size === 0) this.#lapsed()
    else this.#watch(lacks)
  }

  /** Whatever the material waits for is not waited for long; a client that others wait behind has to be quicker. */
  #watch(lacks: Lack): void {
    const { deadlineMs } = this.server.context
    this.#reserved.renew(lacks === 'deal' ? deadlineMs + GRANT_MS : deadlineMs)
    if (lacks === 'deal') this.#turn.end()
    else this.#turn.renew(Math.min(TURN_MS, deadlineMs))
  }

  #lapse(): void {
    this.server.store.lapse(this.session.name)
    this.#lapsed()
  }

  #lapsed(): void {
    this.#unfinished.clear()
    this.#reserved.end()
    this.#endTurn()
  }

  #endTurn(): void {
    this.#turn.end()
    this.#leaveTurn?.()
    this.#leaveTurn = undefined
  }

  async #upload(payload: Uint8Array): Promise<void> {
    const { store } = this.server
    const { link, name, registration } = this.session
    const inference = readInference(payload)
    if (!store.has(name, inference)) {
      throw new RingfenceError('MATERIAL_USED', `inference ${inference} was not reserved`)
    }
    for (const [step, length] of store.lengths.client.entries()) {
      const delta = await receivePieces(link, Kind.delta, Phase.offline, step, length)
      store.uploaded(name, inference, step, delta, registration)
      giveBuffer(delta)
    }
  }

  /** From now on this connection tells which owners' seeds are at the delegate. */
  #attend(): void {
    this.engaged = true
    this.server.owners.attend(this.session.link)
  }

  /** @param first an input, or a delegate's half: the first piece */
  async #infer(first: Frame): Promise<void> {
    const { running, context } = this.server
    const { link } = this.session
    await keptAlive(link, context.deadlineMs, async () => {
      const leave = await running.enter(this.session.place)
      try {
        if (leave) await this.#inTurn(first)
      } finally {
        leave?.()
      }
    })
  }

  async #inTurn({ kind, payload }: Frame): Promise<void> {
    const { k, planned, share } = this.server.context
    const { link: client, meter } = this.session
    const delegated = kind === Kind.join
    const bytes = delegated ? this.server.joinBytes : this.server.inputBytes
    const request = await moreOf(payload, client, kind, Phase.online, 0, bytes)
    const inference = readInference(delegated ? request.subarray(ID_BYTES) : request)
    const { name, sh, material } = await this.#claims.take(this.session, inference)
    const walk = { k, planned, share, client, meter, sh, inference }
    try {
      if (delegated) await runJoined(walk, this.server.owners, request, material)
      else await runServer(walk, request.subarray(INFERENCE_BYTES), material)
    } catch (error) {
      if (error instanceof RingfenceError && error.code === 'CHEATED') this.server.burn(name, error)
      throw error
    } finally {
      if (sh !== this.session.sh) sh.release()
    }
  }

  /** Ends its connection if it may use the material of that session. */
  end(name: string, error: RingfenceError): void {
    if (this.session.name === name || this.#held.has(name)) this.session.link.fail(error)
  }
}

const is = (frame: Frame, kind: number, phase: PhaseCode, bytes: number): boolean =>
  frame.kind === kind && frame.phase === phase && frame.step === 0 && frame.payload.byteLength === bytes
