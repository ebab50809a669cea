// What a front asks of dealers: one inference of one model. All of it is sealed.
import { RingfenceError } from '../errors.js'
import type { DealJob, Destination } from '../party/helper/dealing.js'
import { deliveryToken, hex, ID_BYTES, INFERENCE_BYTES, readInference, writeInference } from '../party/messages.js'
import { SEED_BYTES } from '../random/seed.js'
import type { FleetKeys } from './keys.js'

export interface FleetJob {
  /** The front's names of the model, and of what it waits for. */
  readonly model: Uint8Array
  readonly order: Uint8Array
  /** Shows the front that a dealer has read this job. */
  readonly token: Uint8Array
  /** Where the bundle goes; undefined: to the front. */
  readonly to: Destination | undefined
  readonly deal: DealJob
  /** Nobody waits for it later, in milliseconds since 1970. */
  readonly until: number
  /** Address of the front, which is told in any case. */
  readonly front: string
}

const NUMBERS = 2 * INFERENCE_BYTES
const FIXED = 3 * ID_BYTES + 4 * SEED_BYTES + NUMBERS
/** Of both, with a line between them. */
const MAX_ADDRESSES = 1024

export function sealJob(keys: FleetKeys, { model, order, token, to, deal, until, front }: FleetJob): Uint8Array {
  const numbers = new Uint8Array(NUMBERS)
  writeInference(numbers, deal.inference)
  writeInference(numbers.subarray(INFERENCE_BYTES), Math.floor(until))
  const addresses = new TextEncoder().encode(`${front}\n${to?.url ?? ''}`)
  const session = to?.session ?? new Uint8Array(ID_BYTES)
  const parts = [model, order, session, token, deal.ch, deal.sh, deal.own, numbers, addresses]
  const clear = new Uint8Array(parts.reduce((sum, { byteLength }) => sum + byteLength, 0))
  let at = 0
  for (const part of parts) {
    clear.set(part, at)
    at += part.byteLength
  }
  const sealed = keys.seal(clear)
  clear.fill(0)
  return sealed
}

/** @throws RingfenceError INSECURE for what this fleet did not seal */
export function openJob(keys: FleetKeys, sealed: Uint8Array): FleetJob {
  const clear = keys.open(sealed)
  if (clear.byteLength <= FIXED || clear.byteLength > FIXED + MAX_ADDRESSES) {
    throw new RingfenceError('INSECURE', 'this is no job of this version; fronts and dealers have to be of one version')
  }
  let at = 0
  const take = (length: number) => clear.slice(at, (at += length))
  const [model, order, session] = [take(ID_BYTES), take(ID_BYTES), take(ID_BYTES)]
  const [token, ch, sh, own] = [take(SEED_BYTES), take(SEED_BYTES), take(SEED_BYTES), take(SEED_BYTES)]
  const inference = readInference(take(INFERENCE_BYTES))
  const until = readInference(take(INFERENCE_BYTES))
  const [front, url] = new TextDecoder().decode(clear.subarray(at)).split('\n')
  clear.fill(0)
  return { model, order, token, to: url ? { url, session } : undefined, deal: { inference, ch, sh, own }, until, front }
}

/** What dealers say of a bundle that goes to its server: a byte, to the front that waits for it. */
export const NEWS = { gone: 0, delivered: 1 } as const

/** Where a front takes the bundle of an order, or news of it, and gives a model to dealers. */
export const orderUrl = ({ front, order }: FleetJob): string => `${front}/v1/bundle/${hex(order)}`
export const modelUrl = ({ front, model }: FleetJob): string => `${front}/v1/model/${hex(model)}`

/** Where the bundle itself goes, and what shows there that it may. */
export function bundleAt(job: FleetJob): { url: string; token: Uint8Array } {
  const { to, token, deal } = job
  if (!to) return { url: orderUrl(job), token }
  return { url: `${to.url}/v1/bundle/${hex(to.session)}/${deal.inference}`, token: deliveryToken(deal.sh) }
}
