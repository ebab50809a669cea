// The server on `securenn`: for every client a connection of its own to the helper, opened with the client's first
// inference.
import { RingfenceError } from '../../errors.js'
import { scoped } from '../../kernels/scope.js'
import { type Frame, type Link, Phase } from '../../net/index.js'
import type { SecurennPlan } from '../../plan/plan.js'
import { Kind } from '../../protocol/kinds.js'
import { runServer } from '../../protocol/securenn/inference.js'
import { SEED_BYTES } from '../../random/seed.js'
import { Streams } from '../../random/streams.js'
import { Admission, keptAlive, RUNNING, WAITING } from '../admission.js'
import { refused, spend } from '../allowance.js'
import type { ClientSession, ServerBackend, ServerContext, SessionBackend } from '../backend.js'
import { Caller, DIGEST_BYTES, encodeHello, INFERENCE_BYTES, readInference, sessionProof } from '../messages.js'
import { asRingfenceError } from '../options.js'
import type { Registration } from '../registration.js'

export class SecurennServer implements ServerBackend {
  readonly requestBytes = INFERENCE_BYTES
  readonly hasKept = false
  readonly stored = { usedBytes: 0, limitBytes: 0 }
  /** Inferences; each keeps three parties at work. */
  readonly running = new Admission({ slots: RUNNING, waiting: WAITING, typicalMs: 400 })
  lost: RingfenceError | undefined
  #helper: Link

  constructor(
    readonly context: ServerContext<SecurennPlan>,
    public registration: Registration,
    /** Opens a connection to the helper. */
    readonly open: () => Promise<Link>,
  ) {
    this.#helper = context.helper
  }

  async attend(): Promise<never> {
    await this.#helper.closed
    throw new RingfenceError('PEER_GONE', 'the helper closed the connection')
  }

  get waiting(): number {
    return this.running.waiting
  }

  helperLost(error: RingfenceError): void {
    this.lost = error
  }

  helperBack(helper: Link, registration: Registration): void {
    this.#helper = helper
    this.registration = registration
    this.lost = undefined
  }

  release(): void {}

  async join(session: ClientSession): Promise<SessionBackend> {
    const { k, planned } = this.context
    const seed = await session.link.receive(Kind.pair, Phase.setup, 0, SEED_BYTES)
    const common = new Streams(k, seed, planned.plan.rounds)
    seed.fill(0)
    return new SecurennSession(this, session, common)
  }
}

class SecurennSession implements SessionBackend {
  #helper: Link | undefined
  #left = false
  engaged = false

  constructor(
    private readonly server: SecurennServer,
    private readonly session: ClientSession,
    /** Shared with the client. */
    private readonly common: Streams,
  ) {}

  release(): void {
    this.#helper?.close()
    this.common.release()
  }

  async serve({ kind, phase, step, payload }: Frame): Promise<boolean> {
    if (kind !== Kind.start || phase !== Phase.online || step !== 0 || payload.byteLength !== INFERENCE_BYTES)
      return false
    const { link, peer, sh, ledger, meter } = this.session
    const { context, running } = this.server
    const { k, planned, share, bias } = context
    const inference = readInference(payload)
    if (this.server.lost) throw this.server.lost
    // The helper, whom the client has asked too, waits for this connection and then for the word on it.
    const helper = await this.#toHelper()
    let leave: (() => void) | undefined
    try {
      leave = await keptAlive(link, context.deadlineMs, () => running.enter(this.session.place))
      if (!leave) return true // the client has gone
      if (this.server.lost) throw this.server.lost
      const allowance = spend(peer, 1)
      if (allowance.granted === 0) throw refused(allowance)
      ledger.burn(inference)
      this.engaged = true
      helper.send(Kind.start, Phase.online, 0, payload)
      await scoped(k, (k) => {
        const side = { k, party: 1, common: this.common.on(k), dealt: sh.on(k), peer: link, helper } as const
        return runServer({ side, planned, share, meter, inference }, bias)
      })
    } catch (cause) {
      const error = this.#left ? new RingfenceError('PEER_GONE', 'the client left during an inference') : cause
      helper.fail(asRingfenceError(error))
      throw error
    } finally {
      leave?.()
    }
    return true
  }

  async #toHelper(): Promise<Link> {
    if (this.#helper) return this.#helper
    const { registration, open } = this.server
    const { id: session, link: client } = this.session
    const link = await open()
    const publicKey = sessionProof(registration.helperSeed, session)
    const digest = new Uint8Array(DIGEST_BYTES)
    const hello = { role: Caller.session, registration: registration.id, session, digest, publicKey, planBytes: 0 }
    link.send(Kind.hello, Phase.setup, 0, encodeHello(hello))
    this.#helper = link
    // What this side waits for will not come any more, and the helper need not wait either.
    void client.closed.then(() => {
      this.#left = true
      this.session.place.leave?.()
      link.close()
    })
    return link
  }
}
