// How a client comes to know its server: the connection, the plan both agree on, and what its back end needs.
import { RingfenceError } from '../../errors.js'
import { loadKernels } from '../../kernels/instance.js'
import { type Link, Meter, Phase } from '../../net/index.js'
import { type Plan, planDigest } from '../../plan/plan.js'
import { Kind } from '../../protocol/kinds.js'
import { layOutInTurns } from '../../protocol/step.js'
import type { KeyPair } from '../../random/seed.js'
import type { ClientContext } from '../backend.js'
import { delegateProof } from '../delegated/proof.js'
import { Keeping } from '../mcc/keeping.js'
import { decodeWelcome, encodeClientHello, equal, KEY_BYTES, type ServerWelcome, WELCOME_BYTES } from '../messages.js'
import { deadlineOf, linkTo, seedSource } from '../options.js'
import { receivePlan } from '../received-plan.js'
import { ClientNetwork } from './client-network.js'
import type { ClientOptions } from './client-options.js'
import { type MaterialStore, openMaterialStore } from './client-store.js'
import { Dealer } from './dealer.js'
import { homeOf } from './home.js'
import { openEnd } from './open-end.js'

/**
 * @param identity of a delegate, for a server that takes no other clients
 * @param first what another connection of the same client has, held for this one already
 */
export async function connectClient(
  options: ClientOptions,
  identity?: KeyPair,
  first?: ClientNetwork,
): Promise<ClientContext> {
  const { signal } = options
  let network = first
  const store = await openMaterialStore(options.keepMaterial)
  const opened: { close(): void }[] = [options.server, options.helper].filter((each) => typeof each === 'object')
  try {
    const meter = options.meter ?? new Meter()
    const { met, ...place } = await reachServer(options, { store, meter, identity })
    opened.push(met.server)
    const { server, source, welcome, plan } = met
    if (options.helperKey && !equal(options.helperKey, welcome.helperKey)) {
      throw new RingfenceError('INSECURE', 'the server deals with another helper than the pinned one')
    }
    const k = first?.k ?? loadKernels()
    network = first ?? new ClientNetwork(k, await layOutInTurns(k, plan))
    const dealer = new Dealer(options, { network, meter, welcome })
    opened.push(dealer)
    const terms = { k, server, ...place, welcome, plan, onLost: options.onMaterialLost }
    const kept = store && plan.backend === 'mcc' ? await Keeping.open({ ...terms, store }, { signal }) : undefined
    // With material left the helper may well be away.
    if (!kept?.ready.length) await dealer.join(signal)
    const { session } = welcome
    return {
      k,
      network,
      session,
      server,
      dealer,
      planned: network.planned,
      kept,
      meter,
      deadlineMs: deadlineOf(options),
      source,
    }
  } catch (error) {
    for (const each of opened) each.close()
    network?.release()
    throw error
  }
}

interface Reaching {
  readonly store: MaterialStore | undefined
  readonly meter: Meter
  readonly identity: KeyPair | undefined
}

/** The server that has what is kept, or whichever the address leads to, where that one has gone or takes nobody. */
async function reachServer(options: ClientOptions, reaching: Reaching) {
  const { server: address, signal } = options
  if (!reaching.store || typeof address !== 'string') {
    return { met: await meetServer(options, reaching), address: '', at: '', left: undefined }
  }
  const home = await homeOf(reaching.store, address)
  try {
    return { met: await meetServer({ ...options, server: home }, reaching), address, at: home, left: undefined }
  } catch (error) {
    if (home === address || signal?.aborted) throw error
    return { met: await meetServer(options, reaching), address, at: address, left: home }
  }
}

/** A connection to the server, and what it says of itself. */
async function meetServer(options: ClientOptions, { meter, identity }: Reaching) {
  const { signal, plan: known } = options
  const channel = await openEnd('server', options, signal)
  try {
    const source = seedSource(options, [channel])
    const server = linkTo('server', channel, options, meter, true)
    const wanted = known ? planDigest(known) : options.planDigest
    return { server, source, ...(await greetServer(server, { known, wanted, identity, signal })) }
  } catch (error) {
    channel.close()
    throw error
  }
}

/** What a client says of itself, and insists on. */
interface Greeting {
  readonly known?: Plan | undefined
  readonly wanted?: Uint8Array | undefined
  readonly identity?: KeyPair | undefined
  readonly signal?: AbortSignal | undefined
}

/** @throws RingfenceError PLAN_MISMATCH, UNAUTHORIZED (the server takes its delegate alone), PROTOCOL, … */
export async function greetServer(
  link: Link,
  { known, wanted, identity, signal }: Greeting,
): Promise<{ welcome: ServerWelcome; plan: Plan }> {
  link.send(Kind.hello, Phase.setup, 0, encodeClientHello({ digest: wanted, hasPlan: known !== undefined }))
  const welcome = decodeWelcome(await welcomed(link, identity, signal))
  if (wanted && !equal(wanted, welcome.digest)) {
    throw new RingfenceError('PLAN_MISMATCH', 'the server runs another plan than the one this client accepts')
  }
  if (known && welcome.planBytes === 0) return { welcome, plan: known }
  return { welcome, plan: await receivePlan(link, welcome, { signal }) }
}

async function welcomed(link: Link, identity: KeyPair | undefined, signal?: AbortSignal): Promise<Uint8Array> {
  const [setup, step] = [Phase.setup, 0] as const
  const frame = await link.receiveAny(WELCOME_BYTES, { signal })
  const is = (kind: number, bytes: number) =>
    frame.kind === kind && frame.phase === setup && frame.step === step && frame.payload.byteLength === bytes
  if (is(Kind.welcome, WELCOME_BYTES)) return frame.payload
  if (!is(Kind.challenge, KEY_BYTES)) {
    throw new RingfenceError('PROTOCOL', 'the server answered a greeting with something else than a welcome')
  }
  if (!identity) {
    const what =
      'this server takes inputs through its delegate alone: a client of its own and the helper would have the weights'
    throw new RingfenceError('UNAUTHORIZED', `${what}; use ThinClient of ringfence/thin, or ask whoever runs it`)
  }
  link.send(Kind.identified, setup, step, delegateProof(identity, frame.payload))
  return link.receive(Kind.welcome, setup, step, WELCOME_BYTES, { signal })
}
