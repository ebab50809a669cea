// A server registers its model with a helper: plan and digest, then F = W - B, against a registration under which
// clients ask for material.
import { RingfenceError } from '../errors.js'
import { pack, packedBytes } from '../kernels/bits.js'
import type { Kernels, Region } from '../kernels/instance.js'
import { wordRing } from '../kernels/words.js'
import { type Channel, type Link, Phase } from '../net/index.js'
import { type Compiled, type QuantizedModel, weightKey } from '../plan/compile/compile.js'
import { canonicalJson, type MccPlan, type Plan } from '../plan/plan.js'
import { Kind } from '../protocol/kinds.js'
import { planLayout } from '../protocol/layout.js'
import { guardTerms } from '../protocol/mcc/guard/terms.js'
import { sendTransposes } from '../protocol/mcc/guard/transposes.js'
import { type FilterSlot, fillModelMask, filterSlots } from '../protocol/weights.js'
import { agreeSeed, type KeyPair, keyPair, type Seed } from '../random/seed.js'
import { Streams } from '../random/streams.js'
import { Grants } from './grant.js'
import { Caller, confirmation, encodeHello, equal, ID_BYTES, KEY_BYTES, REGISTERED_BYTES } from './messages.js'
import { type SendOptions, sendPieces } from './transfer.js'

export interface Registration {
  /** What the helper may deal. */
  readonly grants: Grants
  readonly id: Uint8Array
  readonly helperKey: Uint8Array
  /** Shared with the helper. */
  readonly helperSeed: Seed
  /** κ_B, which clients get: B follows from it. */
  readonly modelSeed: Seed
}

export interface RegisterOptions extends SendOptions {
  readonly source: () => Seed
  /** The pinned key. */
  readonly helperKey?: Uint8Array
}

/**
 * @param digest of the plan
 * @throws RingfenceError INSECURE when the helper is not the pinned one or cannot show that it holds its key's secret;
 *   PEER_GONE, PEER_FAILED, DEADLINE
 */
export async function register(
  k: Kernels,
  { plan, model }: Compiled,
  digest: Uint8Array,
  helper: Link,
  options: RegisterOptions,
): Promise<Registration> {
  const keys = keyPair(options.source())
  const json = new TextEncoder().encode(canonicalJson(plan))
  const nothing = new Uint8Array(ID_BYTES)
  const identifiers = { registration: nothing, session: nothing, digest, publicKey: keys.publicKey }
  const hello = encodeHello({ role: Caller.server, ...identifiers, planBytes: json.byteLength })
  helper.send(Kind.hello, Phase.setup, 0, hello)
  helper.send(Kind.plan, Phase.setup, 0, json)
  const modelSeed = options.source()
  const streams = new Streams(k, modelSeed, plan.rounds)
  try {
    for (const slot of filterSlots(plan)) await sendMasked(k, plan, model, streams, slot, helper, options)
  } finally {
    streams.release()
  }
  const welcome = await helper.receive(Kind.welcome, Phase.setup, 0, REGISTERED_BYTES)
  const id = welcome.slice(0, ID_BYTES)
  const helperKey = welcome.slice(ID_BYTES, ID_BYTES + KEY_BYTES)
  const proof = welcome.subarray(ID_BYTES + KEY_BYTES)
  const helperSeed = agree(keys, digest, { id, helperKey, proof }, options.helperKey)
  if (plan.backend === 'mcc') await sendGuard(k, plan, { helperSeed, modelSeed }, helper, options)
  return { id, helperKey, helperSeed, modelSeed, grants: new Grants(helperSeed, id) }
}

/** Guarded plans: what the helper checks the uploads of clients with. */
async function sendGuard(
  k: Kernels,
  plan: MccPlan,
  { helperSeed, modelSeed }: Pick<Registration, 'helperSeed' | 'modelSeed'>,
  helper: Link,
  options: SendOptions,
): Promise<void> {
  const layout = planLayout(plan)
  const terms = guardTerms(layout)
  if (!terms) return
  const [registration, model] = [helperSeed, modelSeed].map((seed) => new Streams(k, seed, plan.rounds))
  try {
    await sendTransposes(k, layout, terms, { registration, model }, (tensor, message) =>
      sendPieces(helper, Kind.transposes, Phase.setup, tensor, message, options),
    )
  } finally {
    registration.release()
    model.release()
  }
}

function agree(
  keys: KeyPair,
  digest: Uint8Array,
  { id, helperKey, proof }: { id: Uint8Array; helperKey: Uint8Array; proof: Uint8Array },
  pinned: Uint8Array | undefined,
): Seed {
  if (pinned && !equal(pinned, helperKey)) {
    throw new RingfenceError('INSECURE', 'this is not the helper whose public key was pinned')
  }
  const order = { initiator: keys.publicKey, responder: helperKey }
  const seed = agreeSeed('server-helper', keys, helperKey, order, digest)
  keys.secretKey.fill(0)
  if (!equal(confirmation(seed, id), proof)) {
    throw new RingfenceError('INSECURE', 'the helper does not hold the secret key of the public one it shows')
  }
  return seed
}

/** Sends one filter of F. */
async function sendMasked(
  k: Kernels,
  plan: Plan,
  model: QuantizedModel,
  streams: Streams,
  slot: FilterSlot,
  helper: Link,
  options: SendOptions,
): Promise<void> {
  const masked = maskedFilter(k, plan, model, streams, slot)
  try {
    await sendPieces(helper, Kind.weights, Phase.setup, slot.step, masked, options)
  } finally {
    masked.release()
  }
}

function maskedFilter(k: Kernels, plan: Plan, model: QuantizedModel, streams: Streams, slot: FilterSlot): Region {
  const ring = wordRing(plan.ring)
  const filter = ring.upload(k, model.weights.get(weightKey(slot.step, slot.operation))!)
  const mask = k.memory.alloc(slot.words * ring.bytes)
  fillModelMask(streams, slot, mask)
  ring.sub(k, filter, mask, filter, slot.words)
  const masked = k.memory.alloc(packedBytes(slot.words, plan.ring))
  pack(k, filter, slot.words, plan.ring, masked)
  filter.release(true)
  mask.release(true)
  return masked
}

/** A connection that `open` opens, unless `ended` aborts before it is there. @throws RingfenceError ABORTED */
export async function openUnless(ended: AbortSignal, open: () => Channel | Promise<Channel>): Promise<Channel> {
  const opening = Promise.resolve(open())
  const aborted = new Promise<null>((resolve) => {
    if (ended.aborted) resolve(null)
    else ended.addEventListener('abort', () => resolve(null), { once: true })
  })
  const channel = await Promise.race([opening, aborted])
  if (channel) return channel
  opening.then((late) => late.close()).catch(() => undefined)
  throw new RingfenceError('ABORTED', 'the server was released')
}
