// A server registers its model with a helper: plan and digest, then F = W - B, against a registration under which
// clients ask for material.
import { sha256 } from '@noble/hashes/sha2.js'
import { RingfenceError } from '../errors.js'
import { pack, packedBytes } from '../kernels/bits.js'
import type { Kernels, Region } from '../kernels/instance.js'
import { wordRing } from '../kernels/words.js'
import { type Channel, type Link, Phase } from '../net/index.js'
import { type Compiled, weightKey } from '../plan/compile/compile.js'
import { canonicalJson, type MccPlan, planDigest } from '../plan/plan.js'
import { modelOf, type SecretModel } from '../protocol/held-model.js'
import { Kind } from '../protocol/kinds.js'
import { planLayout } from '../protocol/layout.js'
import { guardTerms } from '../protocol/mcc/guard/terms.js'
import { sendTransposes } from '../protocol/mcc/guard/transposes.js'
import { type FilterSlot, fillModelMask, filterSlots } from '../protocol/weights.js'
import {
  agreeSeed,
  deriveSeed,
  entropy,
  freshSeed,
  type KeyPair,
  keyPair,
  SEED_BYTES,
  type Seed,
} from '../random/seed.js'
import { Streams } from '../random/streams.js'
import { Grants } from './grant.js'
import {
  Caller,
  CHALLENGE_BYTES,
  confirmation,
  encodeAddress,
  encodeHello,
  equal,
  ID_BYTES,
  IDENTIFIED_BYTES,
  KEY_BYTES,
  REGISTERED_BYTES,
  replicaProof,
} from './messages.js'
import { deadlineOf, linkTo } from './options.js'
import type { ServerOptions, SharedRegistration } from './server-options.js'
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

/** Wipes what it holds, once nobody is to join under it. */
export function forget({ grants, helperSeed, modelSeed }: Registration): void {
  grants.release()
  helperSeed.fill(0)
  modelSeed.fill(0)
}

/** Where dealers bring what is for a server: its own address, or the helper's connection where there is none. */
export interface ReplicaOptions extends RegisterOptions {
  readonly deliverAt?: string | undefined
}

/** Registers anew, or joins the registration that the options name. @throws BAD_INPUT, and as those two */
export function registered(
  k: Kernels,
  model: SecretModel,
  digest: Uint8Array,
  helper: Link,
  source: () => Seed,
  options: ServerOptions,
): Promise<Registration> {
  const { registration: shared, deliverAt, helperKey } = options
  const settings = { source, helperKey, deliverAt, deadlineMs: deadlineOf(options) }
  if (shared) return join(k, model, digest, helper, shared, settings)
  if (deliverAt === undefined) return register(k, model, digest, helper, settings)
  return Promise.reject(new RingfenceError('BAD_INPUT', 'deliverAt goes with a registration that was made before'))
}

/**
 * Joins a shared registration. F leaves for the holder of the helper's key alone: another one could ask a replica for κ_B, as a
 * client.
 * @throws RingfenceError UNSUPPORTED (guarded plans), PLAN_MISMATCH, and as `register`
 */
async function join(
  k: Kernels,
  model: SecretModel,
  digest: Uint8Array,
  helper: Link,
  shared: SharedRegistration,
  options: ReplicaOptions,
): Promise<Registration> {
  checkShared(model, digest, shared)
  const { keys, helperKey } = shared
  const json = new TextEncoder().encode(canonicalJson(model.plan))
  const met = await meet(digest, helper, keys, { planBytes: json.byteLength, pinned: helperKey })
  try {
    const identified = new Uint8Array(IDENTIFIED_BYTES)
    const order = { initiator: keys.publicKey, responder: met.challenge }
    const address = encodeAddress(options.deliverAt ?? '')
    identified.set(replicaProof(keys, met.challenge, order, { digest, address }))
    identified.set(address, SEED_BYTES)
    helper.send(Kind.identified, Phase.setup, 0, identified)
    const [lacks] = await helper.receive(Kind.lacks, Phase.setup, 0, 1)
    if (lacks === 1) {
      helper.send(Kind.plan, Phase.setup, 0, json)
      await sendModel(k, model, shared.modelSeed, helper, options)
    }
    const { id, proof } = readWelcome(await helper.receive(Kind.welcome, Phase.setup, 0, REGISTERED_BYTES))
    if (!equal(confirmation(met.seed, id), proof)) throw imposter()
    const modelSeed = shared.modelSeed.slice()
    return { id, helperKey, helperSeed: met.seed, modelSeed, grants: new Grants(met.seed, id) }
  } catch (error) {
    met.seed.fill(0)
    throw error
  }
}

/**
 * Makes a registration for servers of one model to share (`registration` of `Server.create`). It is a secret, and for one model:
 * two networks under one mask would show the helper their difference.
 * @param helper who it is for, by a channel that is closed then
 * @throws RingfenceError UNSUPPORTED (guarded plans), INSECURE (another helper than the pinned one), PEER_GONE, DEADLINE
 */
export async function newRegistration(
  compiled: Compiled,
  helper: Channel,
  options: Pick<ServerOptions, 'deadlineMs' | 'helperKey'> = {},
): Promise<SharedRegistration> {
  const link = linkTo('helper', helper, options)
  try {
    const [keys, modelSeed, digest] = [keyPair(), freshSeed(), planDigest(compiled.plan)]
    const model = modelOf(compiled)
    checkShared(model, digest)
    const { helperKey, seed } = await meet(digest, link, keys, { planBytes: 0, pinned: options.helperKey })
    seed.fill(0)
    return { keys, modelSeed, helperKey, planDigest: digest, weights: weightsName(model, modelSeed) }
  } finally {
    link.close()
  }
}

/** Says nothing of the weights to who has no κ_B. */
function weightsName({ plan, filter }: SecretModel, modelSeed: Seed): Uint8Array {
  const hash = sha256.create()
  const slots = filterSlots(plan).map((slot) => [weightKey(slot.step, slot.operation), slot] as const)
  for (const [key, slot] of slots.sort(([a], [b]) => (a < b ? -1 : 1))) {
    const { buffer, byteOffset, byteLength } = filter(slot)
    hash
      .update(new TextEncoder().encode(`${key}:${byteLength};`))
      .update(new Uint8Array(buffer, byteOffset, byteLength))
  }
  return deriveSeed(modelSeed, hash.digest(), 'server weights')
}

function checkShared(model: SecretModel, digest: Uint8Array, shared?: SharedRegistration): void {
  const { plan } = model
  if (plan.backend === 'mcc' && plan.guard) {
    const what = 'a guarded plan is registered by each server for itself, as what failed checks rule out ends with it'
    throw new RingfenceError('UNSUPPORTED', `${what}; leave the registration away, or compile without a guard`)
  }
  if (shared && !(equal(shared.planDigest, digest) && equal(shared.weights, weightsName(model, shared.modelSeed)))) {
    const what = 'this registration was made for another model, or for the same with other options'
    throw new RingfenceError('PLAN_MISMATCH', `${what}; make one for this (ringfence register)`)
  }
}

/** Learns who the helper is before it is told anything that a stranger must not have. */
async function meet(
  digest: Uint8Array,
  helper: Link,
  keys: KeyPair,
  { planBytes, pinned }: { planBytes: number; pinned: Uint8Array | undefined },
) {
  const [registration, session] = [new Uint8Array(ID_BYTES), entropy(ID_BYTES)]
  const { publicKey } = keys
  const hello = encodeHello({ role: Caller.replica, registration, session, digest, publicKey, planBytes })
  helper.send(Kind.hello, Phase.setup, 0, hello)
  const shown = await helper.receive(Kind.challenge, Phase.setup, 0, CHALLENGE_BYTES)
  const challenge = shown.slice(0, KEY_BYTES)
  const helperKey = shown.slice(KEY_BYTES, 2 * KEY_BYTES)
  const seed = agree(keys, digest, helperKey, pinned)
  const fresh = new Uint8Array([...session, ...challenge])
  if (!equal(confirmation(seed, fresh), shown.subarray(2 * KEY_BYTES))) throw imposter()
  return { challenge, helperKey, seed }
}

/**
 * @param digest of the plan
 * @throws RingfenceError INSECURE when the helper is not the pinned one or cannot show that it holds its key's secret;
 *   PEER_GONE, PEER_FAILED, DEADLINE
 */
async function register(
  k: Kernels,
  model: SecretModel,
  digest: Uint8Array,
  helper: Link,
  options: RegisterOptions,
): Promise<Registration> {
  const { plan } = model
  const keys = keyPair(options.source())
  const secrets = [keys.secretKey]
  try {
    const json = new TextEncoder().encode(canonicalJson(plan))
    const nothing = new Uint8Array(ID_BYTES)
    const identifiers = { registration: nothing, session: nothing, digest, publicKey: keys.publicKey }
    const hello = encodeHello({ role: Caller.server, ...identifiers, planBytes: json.byteLength })
    helper.send(Kind.hello, Phase.setup, 0, hello)
    helper.send(Kind.plan, Phase.setup, 0, json)
    const modelSeed = options.source()
    secrets.push(modelSeed)
    await sendModel(k, model, modelSeed, helper, options)
    const { id, helperKey, proof } = readWelcome(await helper.receive(Kind.welcome, Phase.setup, 0, REGISTERED_BYTES))
    const helperSeed = agree(keys, digest, helperKey, options.helperKey)
    secrets.push(helperSeed)
    if (!equal(confirmation(helperSeed, id), proof)) throw imposter()
    if (plan.backend === 'mcc') await sendGuard(k, plan, { helperSeed, modelSeed }, helper, options)
    keys.secretKey.fill(0)
    return { id, helperKey, helperSeed, modelSeed, grants: new Grants(helperSeed, id) }
  } catch (error) {
    for (const secret of secrets) secret.fill(0)
    throw error
  }
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

function agree(keys: KeyPair, digest: Uint8Array, helperKey: Uint8Array, pinned: Uint8Array | undefined): Seed {
  if (pinned && !equal(pinned, helperKey)) {
    throw new RingfenceError('INSECURE', 'this is not the helper whose public key was pinned')
  }
  return agreeSeed('server-helper', keys, helperKey, { initiator: keys.publicKey, responder: helperKey }, digest)
}

const readWelcome = (welcome: Uint8Array) => ({
  id: welcome.slice(0, ID_BYTES),
  helperKey: welcome.slice(ID_BYTES, ID_BYTES + KEY_BYTES),
  proof: welcome.subarray(ID_BYTES + KEY_BYTES),
})

const imposter = (): RingfenceError =>
  new RingfenceError('INSECURE', 'the helper does not hold the secret key of the public one it shows')

/** Sends F. */
async function sendModel(
  k: Kernels,
  model: SecretModel,
  modelSeed: Seed,
  helper: Link,
  options: SendOptions,
): Promise<void> {
  const { plan } = model
  const streams = new Streams(k, modelSeed, plan.rounds)
  try {
    for (const slot of filterSlots(plan)) await sendMasked(k, model, streams, slot, helper, options)
  } finally {
    streams.release()
  }
}

/** Sends one filter of F. */
async function sendMasked(
  k: Kernels,
  model: SecretModel,
  streams: Streams,
  slot: FilterSlot,
  helper: Link,
  options: SendOptions,
): Promise<void> {
  const masked = maskedFilter(k, model, streams, slot)
  try {
    const packed = masked.part(0, packedBytes(slot.words, model.plan.ring))
    await sendPieces(helper, Kind.weights, Phase.setup, slot.step, packed, options)
  } finally {
    masked.release()
  }
}

/** Words that are written at a time. */
const AT_ONCE = 2 ** 14

/** F of a filter, packed at the start of the region, which the caller releases. */
function maskedFilter(k: Kernels, { plan, filter }: SecretModel, streams: Streams, slot: FilterSlot): Region {
  const ring = wordRing(plan.ring)
  const weights = filter(slot)
  const words = k.memory.alloc(slot.words * ring.bytes)
  fillModelMask(streams, slot, words)
  const some = k.memory.alloc(Math.min(AT_ONCE, slot.words) * ring.bytes)
  for (let from = 0; from < slot.words; from += AT_ONCE) {
    const values = weights.subarray(from, from + AT_ONCE)
    const part = words.part(from * ring.bytes, values.length * ring.bytes)
    ring.write(values, some)
    ring.sub(k, some, part, part, values.length)
  }
  some.release(true)
  pack(k, words, slot.words, plan.ring, words)
  return words
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
